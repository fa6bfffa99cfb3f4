"""The name of a segment that a caller sends, for the service, which gets JSON values."""

from collections.abc import Collection

from bayes_clv.segments.own import match


def segment_named(value: object, names: Collection[str]) -> str | None:
    """Return the one of ``names`` that a value stands for, None if it stands for none.

    >>> segment_named(1, ("1", "2", "population"))
    '1'
    """
    return match(value, tuple(names))
