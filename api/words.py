"""Makes text from a request safe to show: short, printable, on one line."""

import reprlib

_LENGTH = 60
_repr = reprlib.Repr(maxlevel=2, maxstring=40, maxlong=40, maxother=40)


def shown(value: object) -> str:
    """Return the Python notation of a value, shortened."""
    try:
        text = _repr.repr(value)
    except ValueError:
        text = "a number of more than 4,300 digits"
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 3]}..."


def named(name: str) -> str:
    """Return the name of a field, quoted unless it is a valid identifier."""
    return name if name.isidentifier() and len(name) <= _LENGTH else shown(name)
