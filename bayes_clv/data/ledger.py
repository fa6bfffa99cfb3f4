"""Counts of the rows of a transaction log: read, kept, and rejected by reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from bayes_clv.data.described import html_table
from bayes_clv.errors import InputError


@dataclass(frozen=True)
class Ledger:
    """Rows in = rows kept + rows rejected, by reason.

    Parameters
    ----------
    rows_in
        Rows of the source; for a text file, its lines without the header and blank lines.
    rejected
        (reason, count) for every reason with rejected rows, in the order in which the rules apply.
        A row that breaks several rules is counted once, under the first.

    Raises
    ------
    InputError
        A count is not positive, a reason is given twice, or more rows are rejected than were read.
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
            raise InputError(
                f"rejected must not count more rows than rows_in, {self.rows_in}: {sum(counts)}"
            )

    @property
    def rows_kept(self) -> int:
        """Rows that no rule rejected."""
        return self.rows_in - sum(count for _, count in self.rejected)

    def _repr_html_(self) -> str:
        facts = {"read": self.rows_in, "kept": self.rows_kept, **dict(self.rejected)}
        return html_table("Ledger", facts)

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON; `from_dict` reads them."""
        return {
            "rows_in": self.rows_in,
            "rows_kept": self.rows_kept,
            "rejected": dict(self.rejected),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild a ledger from `to_dict`.

        Raises
        ------
        InputError
            A key is missing, a value has a wrong type, or the counts do not add up.
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
                f"a ledger must add up: rows_in is {rows_in}, rows_kept is {rows_kept} and "
                f"{rows_in - ledger.rows_kept} rows are rejected"
            )
        return ledger
