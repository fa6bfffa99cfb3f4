"""The log after cleaning."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import ibis
import ibis.expr.types as ir

from bayes_clv.data.cleaning import AFTER_END
from bayes_clv.data.dates import as_date
from bayes_clv.data.described import Described
from bayes_clv.data.ledger import Ledger
from bayes_clv.data.report import ReadingReport
from bayes_clv.errors import InputError


@dataclass(frozen=True, repr=False)
class Transactions(Described):
    """A clean log of purchases, still in the engine that read it.

    Parameters
    ----------
    table
        One row per kept row of the source: customer_id (integer or string), date, amount (float64;
        null throughout where the log has none) and, if asked for, segment (string).
    ledger
        Numbers of rows kept, and rejected by reason.
    start, end
        Date of the first purchase, and observation end (default: date of the last purchase).
    has_amounts
        Whether the log has amounts.
    source
        A short name for messages.
    refunds
        Refunds (see :func:`bayes_clv.data.cleaning.refunds`); None where spend is not reduced by
        refunds.
    report
        How the log was read, and what may be wrong with it.
    """

    table: ir.Table = field(repr=False)
    ledger: Ledger
    start: dt.date
    end: dt.date
    has_amounts: bool
    source: str
    refunds: ir.Table | None = field(default=None, repr=False)
    report: ReadingReport = field(default_factory=ReadingReport, repr=False)

    def until(self, end: dt.date | str) -> Self:
        """Return the log as it was on an earlier day, a date or ISO text: later rows are rejected.

        Raises
        ------
        InputError
            ``end`` is no date, before the first purchase or after the observation end.
        """
        end = as_date(end, "end")
        if not self.start <= end <= self.end:
            raise InputError(f"the log covers {self.start} … {self.end}, not {end}")
        earlier = self.table.date <= ibis.literal(end)
        later = int(self.table.count(where=~earlier).execute())
        rejected = dict(self.ledger.rejected)
        if later:
            rejected[AFTER_END] = rejected.get(AFTER_END, 0) + later
        ledger = Ledger(self.ledger.rows_in, tuple(rejected.items()))
        refunds = self.refunds
        if refunds is not None:
            refunds = refunds.filter(refunds.refunded <= ibis.literal(end))
        table = self.table.filter(earlier)
        return replace(self, table=table, ledger=ledger, end=end, refunds=refunds)

    def _facts(self) -> Mapping[str, object]:
        return {
            "source": self.source,
            "window": f"{self.start} … {self.end}",
            "rows": f"{self.ledger.rows_kept:,} of {self.ledger.rows_in:,}",
            "amounts": "yes" if self.has_amounts else "no",
            "warnings": len(self.report.warnings),
        }
