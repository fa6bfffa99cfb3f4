"""Atomic file writes: a file is written completely or not at all."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replace ``path`` with a file that ``write`` fills; see `replaced`."""
    with replaced(path) as temporary, temporary.open("wb") as file:
        write(file)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Replace ``path`` atomically: a crash leaves the old file or the new one, never a part.

    Yields the path of a temporary file in the same folder, to be written by the caller. Then the
    file is synced and renamed, and the folder is synced.

    Raises
    ------
    OSError
        When the disk or the folder does not allow it; the temporary file is removed.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())  # mkstemp creates files for their owner only
        temporary.replace(path)
        _sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
