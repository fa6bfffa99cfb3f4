"""Files that are written whole or not at all, whatever bytes their names are made of."""

import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Every program and language that takes a path as text takes these characters literally.
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Replace ``path`` atomically: a crash leaves the old file or the new one, never a part.

    Yields the path of a temporary file, to be written and checked by the caller: what the caller
    raises leaves the old file. Its name is plain ASCII and short, and it is in the folder of the
    file that is replaced. Then it is synced and renamed, the path is looked up again, and the
    folder is synced.

    Where ``path`` is a symbolic link, the file that it points to is replaced (or made) and the link
    stays. A file that is replaced hands on its permissions, and its owner where that is allowed. If
    it has other names (hard links), these keep the old content.

    Raises
    ------
    OSError
        When the disk or the folder does not allow it; the temporary file is removed.
    """
    target = Path(os.path.realpath(path))
    try:
        old = target.stat()
    except FileNotFoundError:
        old = None
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".bayes_clv-", suffix=".tmp")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        _hand_on_permissions(old, temporary)
        written = temporary.stat()
        temporary.replace(target)
        found = path.stat()
        if not (os.path.samestat(found, written) and found.st_size == written.st_size):
            raise OSError(errno.EIO, "another program wrote to it at the same time")
        _sync(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def plain_name(path: Path) -> Iterator[str]:
    """Yield a name for ``path`` that is plain ASCII: for programs that take paths as text.

    A path may hold quotes, backslashes, line breaks, wildcards or bytes that are not text, which
    SQL and the like read as something else. Unless the path is plain itself, the name leads through
    a temporary symbolic link to its folder; the last part of the path must be plain.
    """
    path = path.absolute()
    if _PLAIN.fullmatch(str(path)):
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="bayes_clv-") as folder:
        link = Path(folder, "to")
        link.symlink_to(path.parent, target_is_directory=True)
        yield str(link / path.name)


def check_folder(folder: Path) -> None:
    """Make a file in the folder, and remove it again.

    Only this finds every reason for which that may fail: rights, a read-only disk, a quota.

    Raises
    ------
    OSError
        If no file can be made there.
    """
    with tempfile.TemporaryFile(dir=folder, prefix=".bayes_clv-"):
        pass


def _hand_on_permissions(old: os.stat_result | None, new: Path) -> None:
    if old is None:
        new.chmod(0o666 & ~_umask())  # mkstemp creates files for their owner only
        return
    with suppress(OSError):  # only the superuser may give files away
        os.chown(new, old.st_uid, old.st_gid)
    new.chmod(stat.S_IMODE(old.st_mode))


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
