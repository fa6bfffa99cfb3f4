"""What reading a source gives, and the DuckDB that holds it.

Every file and DataFrame gets its own in-memory DuckDB, which lives as long as the tables that are
read from it, has a memory limit (`connect`) and spills the rest to disk.
"""

import os
import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir

from bayes_clv.data.report import Rejected
from bayes_clv.errors import InputError

AMOUNTS = ("amount", "quantity", "price")
# Environment variable for DuckDB's memory limit, and the largest default limit in bytes.
MEMORY = "BAYES_CLV_MEMORY"
_LARGEST_SHARE = 4_000_000_000


@dataclass(frozen=True)
class Loaded:
    """A log whose columns are named by their roles.

    `rejected`: what the source holds that is not a row. `remarks`: what reading decided, one line
    each, for people. `worth_storing`: the cleaned log should be stored, not cleaned again in every
    query, because `table` is a copy already or parsing its text is costly. `untyped`: every column
    is text.
    """

    table: ir.Table
    rejected: tuple[Rejected, ...] = ()
    remarks: tuple[str, ...] = ()
    worth_storing: bool = False
    untyped: bool = False


class Source(ABC):
    """A log whose columns are not assigned to roles yet."""

    name: str
    columns: tuple[str, ...]

    @abstractmethod
    def load(self, roles: Mapping[str, int]) -> Loaded:
        """Read the columns that play a role, given as role -> position."""


def connect() -> Any:
    """Open an in-memory DuckDB that spills to disk.

    The environment variable `MEMORY` sets its memory limit, e.g. ``8GB`` or ``25%``. The default is
    half of DuckDB's own limit (80 % of the memory of the machine or container), but at most 4 GB.
    What does not fit goes to a folder under the system's temporary directory, which only its owner
    can read and which is removed with the connection.

    Raises
    ------
    InputError
        The variable is not an amount of memory.
    """
    # Its own folder: two databases that share a folder overwrite each other's spilled data.
    overflow = tempfile.mkdtemp(prefix="bayes_clv-")
    connection = ibis.duckdb.connect(temp_directory=overflow)
    weakref.finalize(connection, shutil.rmtree, overflow, ignore_errors=True)
    connection.con.execute("SET TimeZone = 'UTC'")  # days must not depend on the machine
    _limit_memory(connection.con)
    return connection


def _limit_memory(database: duckdb.DuckDBPyConnection) -> None:
    wanted = os.environ.get(MEMORY)
    if not wanted:
        default = "SELECT parse_formatted_bytes(current_setting('memory_limit'))"
        ((most,),) = database.execute(default).fetchall()
        wanted = f"{min(most // 2, _LARGEST_SHARE)}B"
    try:
        database.execute("SET memory_limit = $wanted", {"wanted": wanted})
    except duckdb.Error as error:
        raise InputError(
            f"{MEMORY} must be an amount of memory such as 8GB or 25%; got {wanted!r}"
        ) from error


def store(judged: ir.Table) -> ir.Table:
    """Store the rows of a log and their reasons in DuckDB, which spills to disk."""
    connection = judged.get_backend()
    stored = connection.create_table("judged", judged)
    connection.con.execute("DROP TABLE IF EXISTS raw")
    return stored


def select(table: ir.Table, roles: Mapping[str, int]) -> ir.Table:
    """Return the columns that play a role, given as role -> position, named by their roles."""
    return table.select(**{role: table[table.columns[i]] for role, i in roles.items()})
