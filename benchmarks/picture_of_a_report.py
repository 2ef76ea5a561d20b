"""docs/report.png, the README's picture: a report's top in Chromium. `make bench NAME=picture_of_a_report`.

The study is `truelift study demo`, in runs/demo unless another folder is named. Needs `chromium`.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

WIDTH, HEIGHT = 900, 1450
MOST_BYTES = 150_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/demo"))
    parser.add_argument("--out", type=Path, default=Path("docs/report.png"))
    given = parser.parse_args()
    page = (given.folder / "report.html").resolve().as_uri()
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        subprocess.run(
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={folder}/profile", "--blink-settings=preferredColorScheme=1"),
                *(f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}", page),
            ],
            check=True,
            capture_output=True,
        )
        Image.open(shot).convert("RGB").quantize(256).save(given.out, optimize=True)
    size = given.out.stat().st_size
    assert size <= MOST_BYTES, size
    print(f"{given.out}: {size:,} bytes")


if __name__ == "__main__":
    main()
