"""Writes results whole or not at all: into a temporary directory beside the target, which is then renamed."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalgia.cli.files import MADE, PROTOCOL
from causalgia.documents.errors import InputError

if TYPE_CHECKING:
    import polars as pl
    import xarray as xr

    from causalgia.documents import Protocol


def target(out: Path | None, name: str, force: bool, made: Collection[str] = MADE) -> Path:
    """Where results go: `out`, refused when it exists unless forced, or results/NAME, which is replaced.

    Nothing but results, files of the names `made`, is ever replaced, and a place that cannot be written is refused
    before any work.
    """
    path = Path("results") / name if out is None else out
    if out is not None and out.exists() and not force:
        raise InputError(str(out), "something that exists", "a directory to be made", "Choose another, or add --force.")
    if path.exists() and not path.is_dir():
        raise InputError(str(path), "a file", "a directory to be replaced", "Choose another.")
    foreign = sorted({entry.name for entry in path.iterdir()} - set(made)) if path.exists() else []
    if foreign:
        found = f"{foreign[0]!r} in it, which is no result"
        raise InputError(str(path), found, "a directory of results, to be replaced", "Choose another.")
    above = next(parent for parent in path.resolve().parents if parent.exists())
    try:
        tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=above).cleanup()
    except OSError as error:
        found = f"a place that cannot be written ({error.strerror})"
        raise InputError(str(above), found, "a writable directory", "Choose another.") from None
    return path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary directory that becomes `path` when the block ends well, and vanishes when it does not."""
    path = path.resolve()
    absent = [parent for parent in path.parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise InputError(
            str(path.parent), f"a place that cannot be written ({error.strerror})", "a writable directory"
        ) from None
    try:
        yield temporary
        temporary.chmod(0o755)
        _replace(path, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in absent:
            with suppress(OSError):  # not empty: the block ended well
                parent.rmdir()


def _replace(path: Path, made: Path) -> None:
    """Renames `made` to `path`; what stood there is removed, or put back if that fails."""
    if not path.exists():
        made.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        path.rename(old / path.name)
        made.rename(path)
    except BaseException:
        if not path.exists():
            (old / path.name).rename(path)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def part(folder: Path, name: str) -> Iterator[Path]:
    """A temporary path that becomes folder/name when the block ends well: a part of results already there."""
    with whole(folder / f".{name}-part") as temporary:
        yield temporary / name
    made, final = folder / f".{name}-part", folder / name
    if final.is_dir():
        shutil.rmtree(final)
    (made / name).replace(final)
    made.rmdir()


def protocol_beside(folder: Path, name: str | None = None) -> Protocol:
    """The protocol named, or the one that lies in a directory of results."""
    from causalgia.documents import Protocol

    if name is not None:
        return Protocol.load(name)
    if not (folder / PROTOCOL).is_file():
        found = f"no {PROTOCOL}" if folder.is_dir() else "no such directory"
        expected, remedy = "a directory made by simulate", "Name the protocol with --protocol, or run simulate."
        raise InputError(str(folder), found, expected, remedy)
    return Protocol.load(str(folder / PROTOCOL))


def write_trial(folder: Path, tables: dict[str, pl.DataFrame]) -> None:
    """The trial's tables as CSV, without the truth."""
    from causalgia.analysis.tables import write_tables

    write_tables(folder, tables)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows of plain values as CSV; a row without a column leaves it empty."""
    import csv

    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, table: Any) -> None:
    """Indented JSON, keys in the order given."""
    path.write_text(json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def write_dataset(path: Path, dataset: xr.Dataset) -> None:
    """A dataset as NetCDF (version 3, 64-bit offsets), readable without further packages.

    The format has no 64-bit integers: counts become 32-bit ones, and whole numbers of the attributes text.
    """
    integers = {name: array.astype("int32") for name, array in dataset.data_vars.items() if array.dtype == "int64"}
    attributes = {name: str(value) if isinstance(value, int) else value for name, value in dataset.attrs.items()}
    dataset.assign(integers).assign_attrs(attributes).to_netcdf(path, engine="scipy", format="NETCDF3_64BIT")


def read_dataset(path: Path) -> xr.Dataset:
    """A dataset that a verb wrote; InputError when it is not there."""
    import xarray as xr

    if not path.is_file():
        raise InputError(str(path), "no such file", "a directory made by the verb before", "Run that verb first.")
    try:
        with xr.open_dataset(path, engine="scipy") as dataset:
            return dataset.load()
    except (ValueError, TypeError, OSError) as error:
        raise InputError(str(path), f"an unreadable file ({error})", "a NetCDF file of this program") from None
