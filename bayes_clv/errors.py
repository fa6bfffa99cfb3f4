"""Errors and warnings of this package; each message is one line that says what to do."""

import os


def shown(text: str | bytes | os.PathLike[str]) -> str:
    r"""Return a path, or any text from outside, on one line that every terminal can show.

    Line breaks, control characters and bytes that are not text are escaped as Python escapes them.

    >>> print(shown("two\nlines"), shown(b"caf\xe9.csv"), shown("été.csv"))
    two\nlines caf\xe9.csv été.csv
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in os.fsdecode(text))


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python keeps a byte that is not text
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


class BayesClvError(Exception):
    """Base of the errors below, so that a caller can catch them all."""


class InputError(BayesClvError, ValueError):
    """The data or an argument cannot be used; the command line exits with code 2."""


class ArtifactError(BayesClvError):
    """A model file is rejected or cannot be written; the command line exits with code 2."""


class UnsoundPosterior(BayesClvError):
    """The sampler's diagnostics show that the posterior cannot be trusted; exit code 3."""


class BayesClvWarning(UserWarning):
    """Base of the warnings below; the command line prints them as one line on stderr."""


class SegmentWarning(BayesClvWarning):
    """Customers have own segments that the model does not know."""
