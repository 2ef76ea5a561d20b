"""Which layout a path holds: a table, parquet or arrow files, shards, archives of folders, or class folders."""

from pathlib import Path

from truelift.data.archives import is_zip, packed_files, read_zips
from truelift.data.columns import refuse_columns, with_label
from truelift.data.files import require_regular, say
from truelift.data.folder import holds_classes, read_classes, read_folder
from truelift.data.listing import Source
from truelift.data.options import DataOptions
from truelift.data.shards import read_shards, shard_files
from truelift.data.tables import is_table, read_tables, table_files
from truelift.errors import InputError, require

_FOLDERS = "class folders"


def read_path(path: Path, options: DataOptions, usual_label: str | None = None) -> Source:
    """The images at a path.

    A file is by its ending a table (.csv, .tsv, .jsonl), a list (.txt), a shard or an archive of class folders (.tar),
    an archive (.zip), an arrow file (.arrow), or else a parquet file. A folder holds shards or parquet files; or class
    folders; or where it has none, arrow files, a table or lists that name images, or archives.

    Args:
        path: It.
        options: As the user gives them.
        usual_label: The label column that the data set's name means.

    Raises:
        InputError: It cannot be read, or holds shards and parquet files, or no columns that options are about.
    """
    # Here, since to import pyarrow takes a while, which data without a path need not wait for.
    from truelift.data.arrow_files import arrow_files, read_arrow
    from truelift.data.parquet import parquet_files, read_parquet

    columns = with_label(options, usual_label)
    if options.folders == "classes":
        require("data.path", path, path.is_dir(), "a folder for data.folders classes")
        refuse_columns(options, _FOLDERS)
        return read_classes(path)
    if not path.is_dir():
        require_regular(path)
        if is_table(path):
            return read_tables(path, [path], columns)
        if is_zip(path):
            refuse_columns(options, _FOLDERS)
            return read_zips(path)
        if arrow_files(path):
            return read_arrow(path, columns)
        if shard_files(path):
            return read_shards(path, options, usual_label)
        return read_parquet(path, columns)
    shards, tables = shard_files(path), parquet_files(path)
    if shards and tables:
        raise InputError(f"data.path must hold parquet files or shards, not both, got {shards[0]} and {tables[0]}")
    arrow = arrow_files(path)
    if arrow and (shards or tables):
        say(f"{path}: {'shards' if shards else 'parquet files'} are read, not {arrow[0].name}")
    if shards:
        return read_shards(path, options, usual_label)
    if tables:
        return read_parquet(path, columns)
    named = [] if arrow else table_files(path)
    others = arrow or named or packed_files(path)
    classes = bool(others) and holds_classes(path)
    if classes:
        say(f"{path}: class folders are read, not {others[0].name}; to read it, give it as data.path")
    elif arrow:
        return read_arrow(path, columns)
    elif named:
        return read_tables(path, named, columns)
    refuse_columns(options, _FOLDERS)
    if others and not classes:
        return read_zips(path)
    return read_folder(path)
