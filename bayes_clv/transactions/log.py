"""The log that is left after cleaning."""

import datetime as dt
from dataclasses import dataclass, field

import ibis.expr.types as ir

from bayes_clv.ledger import Ledger


@dataclass(frozen=True)
class Transactions:
    """A clean log of purchases, still in the engine that read it.

    Parameters
    ----------
    table
        One row per kept row of the source: customer_id (integer or string), date, amount (float64;
        null throughout where the log has none) and, if asked for, segment (string).
    ledger
        What was kept, what was rejected and why.
    start, end
        First purchase, and the observation end: the one given, or else the last purchase.
    has_amounts
        Whether the log says what a purchase was worth.
    source
        A short name for people.
    """

    table: ir.Table = field(repr=False)
    ledger: Ledger
    start: dt.date
    end: dt.date
    has_amounts: bool
    source: str
