"""What happened to every row of a transaction log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from bayes_clv.errors import InputError


@dataclass(frozen=True)
class Ledger:
    """Rows in = rows kept + rows rejected, by reason.

    Parameters
    ----------
    rows_in
        Rows of the source; lines of a text file, the header and blank lines aside.
    rejected
        (reason, count) for every reason that some row was rejected for, in the order in which the
        rules apply: a row that breaks several is counted once, under the first.

    Raises
    ------
    InputError
        A count is not positive, a reason is given twice, or more rows are rejected than came in.
    """

    rows_in: int
    rejected: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        reasons = [reason for reason, _ in self.rejected]
        counts = [count for _, count in self.rejected]
        if len(set(reasons)) < len(reasons) or any(count < 1 for count in counts):
            raise InputError(
                f"rejected must give each reason once, with a positive count; got {self.rejected}"
            )
        if self.rows_kept < 0:
            raise InputError(f"{sum(counts)} rows cannot be rejected where {self.rows_in} came in")

    @property
    def rows_kept(self) -> int:
        """Rows that every rule let through."""
        return self.rows_in - sum(count for _, count in self.rejected)

    def to_dict(self) -> dict[str, Any]:
        """Return plain types that JSON holds; `from_dict` reads them."""
        return {
            "rows_in": self.rows_in,
            "rows_kept": self.rows_kept,
            "rejected": dict(self.rejected),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises
        ------
        InputError
            A part is missing or of another type, or the counts do not add up.
        """
        try:
            rows_in, rows_kept = record["rows_in"], record["rows_kept"]
            rejected = tuple((reason, count) for reason, count in record["rejected"].items())
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"a ledger holds rows_in, rows_kept and rejected; got {record!r}"
            ) from error
        counts = [rows_in, rows_kept, *(count for _, count in rejected)]
        if not all(type(count) is int for count in counts):
            raise InputError(f"a ledger counts rows in integers; got {record!r}")
        ledger = cls(rows_in, rejected)
        if ledger.rows_kept != rows_kept:
            raise InputError(
                f"a ledger must add up: {rows_in} rows came in, {rows_kept} were kept and "
                f"{rows_in - ledger.rows_kept} rejected"
            )
        return ledger
