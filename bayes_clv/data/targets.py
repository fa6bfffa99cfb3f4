"""What an output may replace: a file of its kind, another one if that is forced, never an input.

Every command and function that writes a file asks here first, before it does any work:

- An *input* is never replaced, whatever it is called: files are compared by device and inode, so
  links, ``..`` and a file system that ignores case are seen through. Neither does an output join
  its input: a new Parquet file in the folder that is the log would be a part of the log thereafter.
- Only regular files are replaced: no folder, device, FIFO or socket.
- An existing file is replaced if it is of the *kind* that is written (a model file, a table of
  scores, …), which its content tells, or if it is empty, or by force.
"""

import fnmatch
import glob
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from bayes_clv.errors import InputError, shown
from bayes_clv.files import check_folder, replaced

type Target = str | os.PathLike[str]

# What database engines keep beside the file of a database.
_DATABASES = ("duckdb", "sqlite")
_BESIDE_DATABASES = (".wal", "-wal", "-shm", "-journal")
# Endings by which files in a folder are taken for parts of a log.
_PARTS = (".parquet", ".csv", ".tsv", ".txt", ".xlsx")
_MOST_LINKS = 40  # in a row; as Linux
_SPECIAL = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


@dataclass(frozen=True)
class Kind:
    """A kind of file that is written.

    Parameters
    ----------
    name
        For messages, with its article: "a model file".
    recognises
        Whether the content of an open file is of this kind.
    """

    name: str
    recognises: Callable[[BinaryIO], bool]

    def holds(self, path: Path) -> bool:
        """Whether a file can be read and is of this kind."""
        try:
            with open(path, "rb") as file:
                return self.recognises(file)
        except OSError:
            return False


def check_target(
    target: Target,
    kind: Kind,
    *,
    inputs: Iterable[object] = (),
    force: bool = False,
    make_folder: bool = False,
) -> Path:
    """Refuse a target that cannot be written, or that may not be replaced; nothing is changed.

    Parameters
    ----------
    target
        The file to write.
    kind
        What will be written.
    inputs
        What is read: paths, folders, patterns and URLs, as `input_files` takes them.
    force
        Whether a file of another kind may be replaced; an input may not, even then.
    make_folder
        Whether a folder that does not exist will be made.

    Returns
    -------
    Path
        The target.

    Raises
    ------
    InputError
        If the target is refused.
    """
    path, found = _status(target)
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise refusal(path, f"it is {_SPECIAL.get(stat.S_IFMT(found.st_mode), 'no plain file')}")
    _check_inputs(path, found, inputs)
    _check_folder(path, make_folder=make_folder)
    if found is not None and found.st_size and not force and not kind.holds(path):
        advice = "name another file, or use --force (force=True) to replace it"
        raise refusal(path, f"it exists and is not {kind.name}; {advice}")
    return path


def check_targets(
    targets: Sequence[Target],
    kind: Kind,
    *,
    inputs: Iterable[object] = (),
    force: bool = False,
    make_folder: bool = False,
) -> None:
    """Check several targets as `check_target` does, and that no two of them are the same file.

    Raises
    ------
    InputError
        If a target is refused.
    """
    inputs = list(inputs)
    for number, target in enumerate(targets):
        path = check_target(target, kind, inputs=inputs, force=force, make_folder=make_folder)
        for other in map(Path, targets[:number]):
            if _same(path, _stat(path), other):
                raise refusal(path, f"it is the same file as {shown(other)}, which is written, too")


@contextmanager
def replacing(
    target: Target,
    kind: Kind,
    *,
    inputs: Iterable[object] = (),
    force: bool = False,
    make_folder: bool = False,
) -> Iterator[Path]:
    """Check a target as `check_target` does, then replace it as `bayes_clv.files.replaced` does.

    Yields the temporary file, to be written and read back by the caller. If the caller raises, the
    old file stays as it was.

    Raises
    ------
    InputError
        If the target is refused, or the disk or the folder does not take the file.
    """
    path = check_target(target, kind, inputs=inputs, force=force, make_folder=make_folder)
    try:
        if make_folder:
            Path(os.path.realpath(path)).parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as temporary:
            yield temporary
    except OSError as error:
        raise refusal(path, error.strerror or str(error)) from error


def path_text(target: object) -> str:
    """Return the path of a target as text.

    Raises
    ------
    InputError
        If it is no path.
    """
    if not isinstance(target, str | os.PathLike):
        raise InputError(f"the path of a file to write must be text or a Path: {target!r}")
    return os.fsdecode(target)


def refusal(target: Target, reason: str) -> InputError:
    """Return the error that says why a target is not written."""
    return InputError(f"{shown(target)} cannot be written: {reason}")


def input_files(source: object) -> Iterator[Path]:
    """List the files behind a source of a log, without reading them; some may not exist.

    Parameters
    ----------
    source
        A file, a folder (with everything in it), a pattern such as ``logs/*.csv``, or the URL of a
        DuckDB or SQLite database. What is nothing of these, such as a DataFrame, has no files.
    """
    if not isinstance(source, str | os.PathLike):
        return
    text = os.fsdecode(source)
    scheme, url, rest = text.partition("://")
    if url:
        if scheme in _DATABASES:
            for name in _database_names(rest):
                yield from (Path(name + ending) for ending in ("", *_BESIDE_DATABASES))
        return
    for path in _matches(text):
        yield path
        if path.is_dir():
            for folder, _, names in os.walk(path):
                yield from (Path(folder, name) for name in names)


def _database_names(rest: str) -> set[str]:
    """Return what engines may take for the file's name in a URL after ``duckdb://``."""
    names = {rest, rest.partition("?")[0], rest.partition("#")[0].partition("?")[0]}
    return {name for name in names | set(map(unquote, names)) if name}


def _matches(text: str) -> list[Path]:
    """Return the path itself if it exists or is no pattern, else the paths that it matches."""
    if os.path.lexists(text) or not glob.has_magic(text):
        return [Path(text)]
    return [Path(name) for name in glob.iglob(text, recursive=True, include_hidden=True)]


def _check_inputs(path: Path, found: os.stat_result | None, inputs: Iterable[object]) -> None:
    advice = "name another file"
    for source in inputs:
        if any(_same(path, found, file) for file in input_files(source)):
            raise refusal(path, f"it is an input, {_named(source)}; {advice}")
        if _joins(path, source):
            raise refusal(path, f"it would become a part of the input {_named(source)}; {advice}")


def _named(source: object) -> str:
    """Return a source for messages; a URL's user, password and settings may be secret."""
    scheme, url, rest = str(source).partition("://")
    return shown(f"{scheme}{url}{rest.partition('?')[0].rpartition('@')[2]}")


def _same(path: Path, found: os.stat_result | None, other: Path) -> bool:
    there = _stat(other)
    if found is not None and there is not None:
        return os.path.samestat(found, there)
    if found is not None or there is not None:
        return False
    # Neither exists yet: a write-ahead log, or the second file of a command.
    return os.path.realpath(path) == os.path.realpath(other)


def _joins(path: Path, source: object) -> bool:
    """Whether a file of this name would belong to a source that is a folder or a pattern."""
    if not isinstance(source, str | os.PathLike):
        return False
    text = os.fsdecode(source)
    # A link in the folder belongs to the folder, and so does the file that it leads to.
    places = {Path(os.path.realpath(path)), Path(os.path.realpath(path.parent), path.name)}
    if os.path.isdir(text):
        within = any(place.is_relative_to(os.path.realpath(text)) for place in places)
        return within and path.suffix.lower() in _PARTS
    if "://" in text or os.path.lexists(text) or not glob.has_magic(text):
        return False
    folder, pattern = os.path.split(text)
    listed = glob.iglob(folder, recursive=True, include_hidden=True) if folder else ["."]
    folders = {os.path.realpath(each) for each in listed}
    return any(
        str(place.parent) in folders and fnmatch.fnmatchcase(place.name, pattern)
        for place in places
    )


def _status(target: Target) -> tuple[Path, os.stat_result | None]:
    """Return the path, and what is there now."""
    text = path_text(target)
    path = Path(text)
    if "\0" in text:
        raise refusal(text, "no name may hold a zero byte")
    if os.path.basename(text) in ("", ".", ".."):
        raise refusal(text or "''", "it names a directory; name a file")
    if _is_special_name(text):
        raise refusal(path, "it is a device")
    try:
        return path, path.stat()
    except FileNotFoundError:
        return path, None
    except OSError as error:
        raise refusal(path, error.strerror or str(error)) from error


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _is_special_name(text: str) -> bool:
    """Whether the path leads to ``/dev`` or ``/proc``, such as ``/dev/stdout``.

    Where the standard output goes to a file, ``/dev/stdout`` is that file; but who names a device
    does not mean the file. ``/dev/shm`` is a folder of files.
    """
    if sys.platform == "win32":
        return False
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(text)
        folder = os.path.realpath(folder or ".")
        if folder == "/dev" or f"{folder}/".startswith("/proc/"):
            return True
        full = os.path.join(folder, name)
        if not os.path.islink(full):
            return False
        text = os.path.join(folder, os.readlink(full))
    return False


def _check_folder(path: Path, *, make_folder: bool) -> None:
    folder = Path(os.path.realpath(path)).parent
    if make_folder:
        while not os.path.lexists(folder) and folder != folder.parent:
            folder = folder.parent
    if not folder.exists():
        raise refusal(path, f"there is no folder {shown(folder)}")
    try:
        check_folder(folder)
    except OSError as error:
        raise refusal(path, error.strerror or str(error)) from error
