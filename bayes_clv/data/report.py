"""What reading found and decided: for the people who must be able to trust it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Reasons for which sources reject what is not a row; `cleaning` has the reasons for rows.
MALFORMED = "malformed line"
ABOVE_HEADER = "above the header"
TOO_LONG = "line too long"
UNREADABLE = "unreadable bytes"
SOURCE_REASONS = (ABOVE_HEADER, TOO_LONG, UNREADABLE, MALFORMED)


@dataclass(frozen=True)
class Rejected:
    """Lines or rows rejected for one reason: how many, and one of them as text ("" for none)."""

    reason: str
    rows: int
    example: str = ""


@dataclass(frozen=True)
class ReadingReport:
    """How a log was read.

    It holds values of the log, so it is for the person who reads the log: it is neither stored in a
    model file nor served. Only `without_values` is.

    Parameters
    ----------
    columns
        Role -> name of the column that plays it.
    notations
        Role -> how its text was read, e.g. ``"1.234,50"`` or ``"%d/%m/%Y"``; only roles whose text
        was interpreted.
    examples
        Reason -> an example of what was rejected for it.
    remarks
        What was decided while reading, one line each; no cause for doubt.
    warnings
        What may be wrong, one line each: the figure, its threshold, and what settles it.
    without_values
        The warnings without the log's own values, such as ids: for the model file.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    notations: Mapping[str, str] = field(default_factory=dict)
    examples: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    without_values: tuple[str, ...] = ()
