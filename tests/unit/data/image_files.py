"""Small data sets on disk, made by code."""

import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from truelift.data import jpeg as jpeg_module

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def pixels(value: int, side: int = 4, channels: int = 3) -> npt.NDArray[np.uint8]:
    """An image of one value, except for its first pixel, 255."""
    array = np.full((side, side, channels), value, dtype=np.uint8)
    array[0, 0] = 255
    return array if channels > 1 else array[..., 0]


def png(array: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "png")
    return buffer.getvalue()


def metadata(**features: Sequence[str]) -> dict[str, str]:
    """The `huggingface` schema metadata of ClassLabel columns with these names."""
    described = {column: {"names": list(names), "_type": "ClassLabel"} for column, names in features.items()}
    return {"huggingface": json.dumps({"info": {"features": described}})}


def write_parquet(
    file: Path,
    images: Sequence[bytes | None],
    labels: Mapping[str, Sequence[int | None]],
    *,
    names: Mapping[str, Sequence[str]] | None = None,
    image_column: str = "image",
    plain: bool = False,
    rows_a_group: int = 3,
) -> Path:
    """A parquet file of the Hugging Face image schema."""
    column = (
        pa.array(images, pa.binary()) if plain else pa.array([{"bytes": b, "path": None} for b in images], IMAGE_TYPE)
    )
    table = pa.table({image_column: column, **{k: pa.array(v, pa.int64()) for k, v in labels.items()}})
    if names is not None:
        table = table.replace_schema_metadata(metadata(**names))
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, row_group_size=rows_a_group)
    return file


def write_classes(file: Path, labels: Sequence[int], names: Sequence[str] | None = ("cat", "dog")) -> Path:
    """A parquet file where image i has the value i; the values identify the images."""
    images = [png(pixels(i)) for i in range(len(labels))]
    return write_parquet(file, images, {"label": labels}, names=None if names is None else {"label": names})


def write_folder(root: Path, counts: Mapping[str, int], *, side: int = 4) -> Path:
    """Class folders with so many images each, numbered through."""
    number = 0
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            (root / name / f"{i:03}.png").write_bytes(png(pixels(number, side)))
            number += 1
    return root


def jpeg(array: npt.NDArray[np.uint8], **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "jpeg", **options)
    return buffer.getvalue()


@contextmanager
def without_simplejpeg() -> Iterator[None]:
    """As where the extra `jpeg` is not installed."""
    jpeg_module._simplejpeg.cache_clear()
    with mock.patch.dict(sys.modules, {"simplejpeg": None}):  # importing it then fails
        yield
    jpeg_module._simplejpeg.cache_clear()


def write_photographs(root: Path, counts: Mapping[str, int], seed: int = 0) -> Path:
    """Class folders with so many JPEG files of noise each, no two of one size."""
    rng = np.random.default_rng(seed)
    number = 0
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            noise = rng.integers(0, 256, (40 + number, 60 - number % 20, 3), dtype=np.uint8)
            (root / name / f"{i:03}.jpg").write_bytes(jpeg(noise))
            number += 1
    return root
