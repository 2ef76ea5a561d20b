"""Images at a path whatever they show, whose columns no option can name: the options are those of other data."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.data.image_files import pixels, png

from truelift.data import DataOptions, load_any
from truelift.errors import InputError

IMAGES = [png(pixels(number)) for number in range(4)]


def write(folder: Path, form: str) -> Path:
    if form == "two columns":
        pq.write_table(pa.table({"image": IMAGES, "mask": IMAGES}), folder / "a.parquet")
        return folder / "a.parquet"
    for number, image in enumerate(IMAGES):
        (folder / f"{number}.png").write_bytes(image)
    if form == "stray parquet":
        pq.write_table(pa.table({"embedding": [[1.0]] * 4}), folder / "a.parquet")
        return folder
    table = folder / "a.csv"
    names = [f"{number}.png" if form == "no labels" else f"other/{number}.png,a" for number in range(4)]
    table.write_text("\n".join(["file_name" if form == "no labels" else "file_name,label", *names]))
    return table


@pytest.mark.parametrize("form", ["two columns", "stray parquet", "no labels", "elsewhere"])
def test_a_message_names_no_option_that_is_not_looked_at(tmp_path: Path, form: str) -> None:
    with pytest.raises(InputError, match="give a folder of the image files alone, or a parquet file with one") as told:
        load_any(write(tmp_path, form), DataOptions(resize=8, cache=False), most=4)
    assert "--data." not in str(told.value)
    assert str(tmp_path) in str(told.value)
