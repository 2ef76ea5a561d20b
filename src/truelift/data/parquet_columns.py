"""Which columns of parquet and arrow files hold images and labels."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from truelift.data.class_names import names_of
from truelift.data.columns import ColumnOptions, UnclearError, find_splits, named_image, named_labels
from truelift.errors import InputError, one_line

_LABELS = "label (integer, text or boolean)"


@dataclass(frozen=True)
class Columns:
    """The columns of a data set's files.

    Attributes:
        image: Encoded images, or the names of their files.
        labels: One column with labels, or with `each` one for each class.
        each: Whether each column says yes or no of a class.
    """

    image: str
    labels: tuple[str, ...]
    each: bool = False

    def names(self, schema: pa.Schema) -> tuple[str, ...] | None:
        """The classes' names, as far as the files say them."""
        return self.labels if self.each else class_names(schema, self.labels[0])

    def require_same(self, file: Path, schema: pa.Schema, first: Path, expected: pa.Schema, *, labelled: bool) -> None:
        """Refuse a file whose columns are not those of the first.

        One is missing or there twice, the images are held in another way, or the classes have other names.

        Raises:
            InputError: It does.
        """
        wanted = (self.image, *(self.labels if labelled else ()))
        missing = [name for name in wanted if name not in schema.names]
        if missing:
            told = ", ".join(schema.names)
            raise InputError(f'{file} has no column "{missing[0]}" as {first} has; its columns: {told}')
        for name in wanted:
            if (count := schema.names.count(name)) > 1:
                raise InputError(f'{file} must have the column "{name}" once, got it {count} times')
        kind, other = schema.field(self.image).type, expected.field(self.image).type
        if _held(kind) != _held(other):
            raise InputError(
                f'{file} has "{self.image}" of type {kind}, {first} of type {other}; they must hold the same'
            )
        if labelled and self.names(schema) != self.names(expected):
            raise InputError(f'{file} and {first} name the classes of "{self.labels[0]}" differently')


def find_columns(schema: pa.Schema, options: ColumnOptions, tells: Callable[[str], bool]) -> Columns:
    """The columns that `options` name, or that can be meant.

    Images: the only column with bytes, a struct with the field `bytes` or plain binary; where there is none, text whose
    name is one for files (see `columns`), or a struct with the field `path`. Labels: the only ClassLabel column of the
    hub's metadata; or the one that is named for labels, of several such the only integers; or the only integers; or the
    only other column of text or booleans. What is named for splits is none of them, unless `options` name it, or it
    tells none and is the only other column.

    Args:
        schema: Of a file.
        options: As the user gives them.
        tells: Whether a column tells a split in some row.

    Raises:
        InputError: There is no such column, or more than one.
    """
    image = find_images(schema, options.image_column)
    if options.label_columns is None:
        splits = find_split_columns(schema, options, (image,))
        others = [field.name for field in schema if field.name not in (image, *splits) and _holds_labels(field.type)]
        others = others or [name for name in splits if _holds_labels(schema.field(name).type) and not tells(name)]
        return Columns(image, (_label_column(schema, others, options.label_column),))
    for name in options.label_columns:
        kind = _wanted_type(schema, name, "data.label_columns")
        if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind)):
            raise InputError(f'data.label_columns must name 0 and 1 or booleans, got "{name}" of type {kind}')
    return Columns(image, options.label_columns, each=True)


def find_split_columns(schema: pa.Schema, options: ColumnOptions, others: Sequence[str]) -> list[str]:
    """The columns that are named for splits, and are none of the others."""
    found = find_splits(schema.names, options)
    return [name for name in found if name not in others and schema.names.count(name) == 1]


def find_images(schema: pa.Schema, wanted: str | None) -> str:
    """The column with images: the one that is wanted, or as `find_columns`.

    Raises:
        InputError: There is none, more than one, or not the one that is wanted.
    """
    if wanted is not None:
        kind = _wanted_type(schema, wanted, "data.image_column")
        if not holds_images(kind) and not _is_text(kind) and not _holds_paths(kind):
            raise InputError(
                f'data.image_column must name encoded images (bytes) or their files, got "{wanted}" of type {kind}'
            )
        return wanted
    found = [field.name for field in schema if holds_images(field.type)]
    if not found:
        found = [field.name for field in schema if _holds_paths(field.type)]
    if not found:
        named = named_image([field.name for field in schema if _is_text(field.type)])
        found = [] if named is None else [named]
    return _only(found, "image (bytes, or files' names)", "data.image_column", schema)


def holds_images(kind: pa.DataType) -> bool:
    """Whether a column of this type holds encoded images."""
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_binary(kind.field("bytes").type)
    return _is_binary(kind)


def class_names(schema: pa.Schema, column: str) -> tuple[str, ...] | None:
    """The ClassLabel names of `column`, in label order, where the metadata of the Hugging Face hub gives them."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    try:
        feature = json.loads(metadata).get("info", {}).get("features", {}).get(column, {})
        if feature.get("_type") in ("List", "LargeList", "Sequence"):  # several labels an image
            feature = feature.get("feature", {})
        names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
        return None if names is None else names_of(names)
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f'the class names of "{column}" cannot be read: {one_line(error)}') from error


def _label_column(schema: pa.Schema, labels: Sequence[str], wanted: str | None) -> str:
    """The column with labels: the one that is wanted, or one of those that can be."""
    if wanted is not None:
        kind = _wanted_type(schema, wanted, "data.label_column")
        if not _holds_labels(kind):
            raise InputError(f'data.label_column must name integers, text or booleans, got "{wanted}" of type {kind}')
        return wanted
    integers = [field.name for field in schema if field.name in labels and pa.types.is_integer(field.type)]
    classes = [name for name in labels if class_names(schema, name) is not None]
    told = named_labels(labels)
    found = classes or ([name for name in told if name in integers] if len(told) > 1 else []) or told
    return _only(found or integers or labels, _LABELS, "data.label_column", schema)


def _held(kind: pa.DataType) -> str:
    """What a column of images holds; large and small types, structs and plain ones are read alike."""
    if holds_images(kind):
        return "images"
    return "names" if _holds_paths(kind) or _is_text(kind) else "neither"


def _holds_paths(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) and kind.get_field_index("path") >= 0 and _is_text(kind.field("path").type))


def _holds_labels(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind) or _is_text(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _wanted_type(schema: pa.Schema, name: str, option: str) -> pa.DataType:
    if schema.names.count(name) > 1:
        raise InputError(f'{option} must be a column that the file has once, got "{name}"')
    if name not in schema.names:
        raise InputError(f'{option} must be a column of the file ({", ".join(schema.names)}), got "{name}"')
    return schema.field(name).type


def _only(found: Sequence[str], kind: str, option: str, schema: pa.Schema) -> str:
    if len(found) == 1:
        return found[0]
    if found:
        raise UnclearError(f"more than one {kind} column: {', '.join(found)}", f"choose one with --{option}")
    raise UnclearError(f"no {kind} column among {', '.join(schema.names)}", f"name it with --{option}")


def require_text(schema: pa.Schema, column: str, separator: str | None) -> None:
    """Refuse to divide labels that are no text.

    Raises:
        InputError: There is a separator, and the column holds no text.
    """
    kind = schema.field(column).type
    if separator is not None and not _is_text(kind.value_type if pa.types.is_dictionary(kind) else kind):
        raise InputError(
            f'data.label_separator must be left out where labels are no text, got {separator!r} and "{column}" of '
            f"type {kind}"
        )
