"use strict";
/* Tables sorted by a press on a column's name. Without this script they stay in the report's order. */
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const keyOf = (row, column) => {
    const text = row.cells[column].textContent.trim().replace("\u2212", "-").replace(/(\d),(?=\d{3})/g, "$1");
    const number = /^[<+-]?\.?\d/.test(text) ? parseFloat(text.replace(/^[<+]/, "")) : NaN;
    return { text, number };
  };
  const compare = (a, b) => {
    const [left, right] = [Number.isNaN(a.number), Number.isNaN(b.number)];
    if (left !== right) return left ? 1 : -1;
    return left ? a.text.localeCompare(b.text, undefined, { numeric: true }) : a.number - b.number;
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => ({ row, key: keyOf(row, column) }));
      rows.sort((a, b) => (descending ? -1 : 1) * compare(a.key, b.key));
      body.append(...rows.map((one) => one.row));
    });
  });
}
