"""From what a caller calls a log to the files on disk: one file, a list, a folder or a pattern.

A path that exists is that file, whatever characters its name holds. Only a path that does not exist
is a pattern, such as ``data/*.csv`` or ``data/**/*.parquet``.
"""

import glob
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from bayes_clv.errors import InputError

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET, WORKBOOK = ".parquet", ".xlsx"
SUFFIXES = (*TEXT_SUFFIXES, PARQUET, WORKBOOK)
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
# A file may unpack to so many times its size, or to so many bytes: logs shrink to a tenth or less,
# a zip bomb to a thousandth.
_MOST_TIMES, _SMALL = 200, 100_000_000
_CHUNK = 1 << 20
# DuckDB gives a meaning to some characters of a path, and takes no bytes that are not UTF-8.
_PLAIN = re.compile(r"[\w ./-]+")


@dataclass(frozen=True)
class Files:
    """Files of one kind, in order, and what the caller called them."""

    paths: tuple[Path, ...]
    kind: str
    name: str


def find_files(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Files:
    """Find the files of a log.

    Returns
    -------
    Files
        Kind ``.csv`` for all delimited text, ``.parquet`` or ``.xlsx``.

    Raises
    ------
    InputError
        A file does not exist, is empty or no file, or has another ending than the readable ones;
        or the files are of several kinds.
    """
    if not isinstance(source, str | os.PathLike):
        if not source:
            raise InputError("transactions must name at least one file; got an empty list")
        if not all(isinstance(each, str | os.PathLike) for each in source):
            raise InputError("a list of transactions must hold paths; give rows as a DataFrame")
        paths = [_file(Path(each)) for each in source]
        return _of_one_kind(paths, f"the {len(paths)} files")
    path = Path(source)
    if path.is_dir():
        paths = sorted(each for each in path.rglob("*") if _is_visible(each, path))
        if not paths:
            raise InputError(
                f"{path} is a directory without a file that ends in {', '.join(SUFFIXES)}"
            )
        return _of_one_kind(list(map(_file, paths)), path.name or str(path))
    if os.path.lexists(path) or not glob.has_magic(str(path)):
        return _of_one_kind([_file(path)], path.name)
    found = (Path(each) for each in sorted(glob.glob(str(path), recursive=True)))
    paths = [each for each in found if not each.is_dir()]
    if not paths:
        raise InputError(f"{path} does not exist, and no file matches it as a pattern")
    return _of_one_kind(list(map(_file, paths)), path.name)


def kind_of(path: Path) -> str | None:
    """Return ``.csv`` for text, ``.parquet``, ``.xlsx``, or None for any other ending."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        return ".csv" if suffixes[-2:-1] and suffixes[-2] in TEXT_SUFFIXES else None
    suffix = suffixes[-1] if suffixes else ""
    if suffix in TEXT_SUFFIXES:
        return ".csv"
    return suffix if suffix in SUFFIXES else None


@contextmanager
def readable(path: Path) -> Iterator[str]:
    """Yield a path to the same file that DuckDB takes as it is.

    Where its own has odd characters, that is a symbolic link in a private folder.
    """
    if _PLAIN.fullmatch(str(path)):
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="bayes_clv-") as folder:
        yield link(path, folder, "log" + path.suffix.lower())


def link(path: Path, folder: str, name: str) -> str:
    """Make a symbolic link to a file, and return its path."""
    made = os.path.join(folder, name)
    os.symlink(path.resolve(), made)
    return made


def is_plain(path: Path) -> bool:
    """Whether DuckDB takes a path as it is."""
    return bool(_PLAIN.fullmatch(str(path)))


def unpack(path: Path, folder: str) -> Path:
    """Return the file itself, or its unpacked copy in `folder` if it is compressed.

    Raises
    ------
    InputError
        The file is damaged, or unpacks to more than is sensible.
    """
    compression = COMPRESSIONS.get(path.suffix.lower())
    if compression is None:
        return path
    most = max(_SMALL, _MOST_TIMES * path.stat().st_size)
    handle, name = tempfile.mkstemp(suffix=Path(path.stem).suffix, dir=folder)
    written = 0
    try:
        with (
            path.open("rb") as packed,
            pa.CompressedInputStream(packed, compression) as stream,
            os.fdopen(handle, "wb") as copy,
        ):
            while chunk := stream.read(_CHUNK):
                written += len(chunk)
                if written > most:
                    raise InputError(
                        f"{path} unpacks to more than {most / 1e6:,.0f} MB, {_MOST_TIMES} times "
                        "its size; unpack it yourself if that is right"
                    )
                copy.write(chunk)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be unpacked: it is damaged or no {compression}") from error
    return Path(name)


def _file(path: Path) -> Path:
    """Return a path that is a regular file of a readable kind and not empty."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist; give a file, or a URL such as duckdb://shop.db"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path} is a directory; list the files in it, or give it alone")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} is not a regular file, which a log must be: it is read twice")
    if kind_of(path) is None:
        raise InputError(
            f"{path} ends in {path.suffix!r}; a file must end in {', '.join(SUFFIXES)}, or text in "
            f"{', '.join(COMPRESSIONS)} after that"
        )
    if found.st_size == 0:
        raise InputError(f"{path} is empty: it has no header and no rows")
    return path


def _is_visible(path: Path, folder: Path) -> bool:
    """Whether a file in a folder is data: not hidden, no ``_SUCCESS``, and of a readable kind."""
    parts = path.relative_to(folder).parts
    hidden = any(part.startswith((".", "_")) for part in parts)
    return not hidden and kind_of(path) is not None and path.is_file() and path.stat().st_size > 0


def _of_one_kind(paths: list[Path], name: str) -> Files:
    kinds = {kind_of(path): path for path in paths}
    if len(kinds) > 1:
        one, other, *_ = kinds.values()
        raise InputError(
            f"{name} holds files of several kinds, {one.name!r} and {other.name!r}; give those of "
            "one kind, such as 'data/*.parquet'"
        )
    (kind,) = kinds
    assert kind is not None
    if kind == WORKBOOK and len(paths) > 1:
        raise InputError(f"{name} holds {len(paths)} workbooks; give one of them")
    return Files(tuple(paths), kind, name)
