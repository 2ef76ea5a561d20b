"use strict";
/* Of a page that `truelift report --serve` gives: it is loaded again once the records have changed. */
{
  const shown = document.documentElement.dataset.version;
  setInterval(async () => {
    try {
      const answer = await fetch("/", { method: "HEAD", cache: "no-store" });
      const version = answer.headers.get("X-Version");
      if (version && version !== shown) location.reload();
    } catch { /* it is no longer served: the page stays as it is */ }
  }, 2000);
}
