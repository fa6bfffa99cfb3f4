"""Scores: all answers about every customer of a log in one table, and writing that table.

Answers depend on a customer's state alone, so :func:`score_log` computes them once per distinct
state. The engine that holds the log assigns customers to segments and finds the distinct states;
this process receives the states in batches and sends the answers back as a table; the engine joins
that table to its customers. No customer passes through this process, so its memory does not grow
with the number of customers.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
from ibis import ir

from bayes_clv import arguments
from bayes_clv.arguments import Days
from bayes_clv.data.engines import cached, failures, is_url, one_line, spark_frame, to_arrow, upload
from bayes_clv.data.given_log import Log, as_log
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.files import replaced
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.every_answer import score_customers
from bayes_clv.posterior.log_states import KEYS, coded_customers
from bayes_clv.posterior.posterior import Posterior

BATCH = 200_000  # states; about 50 MB of answers
_SPARK = "pyspark"


def score_log(
    posterior: Posterior,
    transactions: Log,
    horizon: Days,
    terms: ValueTerms | None = None,
    *,
    value: bool = True,
    level: float = 0.9,
    seed: int = 0,
    on_states: Callable[[int, int], None] = lambda done, total: None,
) -> ir.Table:
    """Score every customer of a log, in the engine that holds it.

    Parameters
    ----------
    posterior, horizon, terms, level, seed
        As for `score_customers`.
    transactions
        From ``read_transactions``. If its column of segments was read, it gives each customer's
        segment; it must name segments of the model.
    value
        Whether to include spend and value, where spend was fitted and the log has amounts. Mean
        spend is then part of the state, so there are many more distinct states.
    on_states
        Called with the number of states done and the number of all states.

    Returns
    -------
    customer_id, frequency, recency, T (days), monetary_value and total_spend, then the columns of
    `score_customers`. The answers are already computed; the engine only has to join them.

    Raises
    ------
    InputError
        If the log names a segment that the model does not have.
    """
    horizon, seed = arguments.days("horizon", horizon), arguments.seed(seed)
    arguments.tails(level)
    transactions = as_log(transactions)
    states = coded_customers(posterior, transactions)
    keys = list(KEYS)
    if value and posterior.has_spend and transactions.has_amounts:
        keys.append("monetary_value")
    distinct = cached(states.select(*keys).distinct())
    total, names = int(distinct.count().execute()), posterior.answerable

    def answers() -> Iterator[pa.Table]:
        done = 0
        on_states(done, total)
        ordered = distinct.order_by(["code", "frequency", "T", "recency"])
        for batch in to_arrow(ordered).to_batches(max_chunksize=BATCH):
            frame = batch.to_pandas()
            named = frame.assign(segment=[names[code] for code in frame["code"]])
            scores = score_customers(
                posterior, named, horizon, terms, value=value, level=level, seed=seed
            )
            yield pa.Table.from_pandas(scores, preserve_index=False)
            done += len(frame)
            on_states(done, total)

    return _joined(states, upload(states.get_backend(), answers()), keys, terms or ValueTerms())


def _joined(states: ir.Table, scores: ir.Table, keys: list[str], terms: ValueTerms) -> ir.Table:
    """Join to every customer the answers about their state."""
    customers = states.drop("landmark", "first", "last", *({"segment"} & {*states.columns}))
    joined = customers.left_join(scores, keys, rname="{name}_of_scores")
    joined = joined.drop("code", *(f"{key}_of_scores" for key in keys))
    if "expected_value" in scores.columns:
        past = joined.total_spend * terms.margin
        joined = joined.mutate(past_value=past, total_value=past + joined.expected_value)
    first = [name for name in _FIRST if name in joined.columns]
    last = [name for name in ("past_value", "total_value", "dropout") if name in joined.columns]
    return joined.select(*first, *(n for n in joined.columns if n not in (*first, *last)), *last)


_FIRST = ("customer_id", "frequency", "recency", "T", "monetary_value", "total_spend")


def check_target(target: str, transactions: Transactions | None = None) -> None:
    """Refuse a target that cannot be written, before any work is done.

    Raises
    ------
    InputError
        If the ending is neither .parquet nor .csv, or the folder does not exist. Spark writes a
        folder: if the log is in Spark, also if a file or folder of this name exists.
    """
    path = Path(target)
    if path.suffix not in (".parquet", ".csv"):
        raise InputError(f"--out must end in .parquet or .csv: {path.name}")
    if is_url(target):
        return  # the engine checks it when it writes
    if not path.parent.is_dir():
        raise InputError(f"--out {path} cannot be written: there is no folder {path.parent}")
    if transactions and transactions.table.get_backend().name == _SPARK and path.exists():
        raise InputError(f"--out {path} exists already: Spark would have to remove it first")


def write_scores(scores: ir.Table, target: str) -> None:
    """Write a .parquet or .csv file, ordered by customer; a failure leaves no partial file.

    Spark makes a folder of this name instead, in which each of its workers writes a part; the
    folder must not exist.

    Raises
    ------
    InputError
        If the target is invalid or writing fails.
    """
    check_target(target)
    if scores.get_backend().name == _SPARK:
        _write_folder(scores, target)
        return
    try:
        with replaced(Path(target)) as temporary:
            _write_file(scores.order_by("customer_id"), target, temporary)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}") from None
    except failures() as error:
        raise InputError(f"{target} cannot be written: {one_line(error)}") from None


def create_table(scores: ir.Table, name: str) -> None:
    """Create a table of this name in the engine that holds the scores; it must not exist.

    Raises
    ------
    InputError
        If the engine refuses it.
    """
    schema, _, bare = name.rpartition(".")
    try:
        scores.get_backend().create_table(bare, scores, database=schema or None)
    except failures() as error:
        raise InputError(f"the table {name!r} cannot be created: {one_line(error)}") from None


def _write_file(scores: ir.Table, target: str, path: Path) -> None:
    """Write the file with DuckDB, or here from the batches that another engine sends."""
    parquet = target.endswith(".parquet")
    if scores.get_backend().name == "duckdb":
        scores.to_parquet(path) if parquet else scores.to_csv(path)
        return
    batches = scores.to_pyarrow_batches(chunk_size=BATCH)
    writer = (pq.ParquetWriter if parquet else csv.CSVWriter)(path, batches.schema)
    with writer:
        for batch in batches:
            writer.write_batch(batch)


def _write_folder(scores: ir.Table, target: str) -> None:
    writer = spark_frame(scores).write  # Ibis would write CSV in this process
    try:
        if target.endswith(".parquet"):
            writer.parquet(target)
        else:
            writer.csv(target, header=True)
    except failures() as error:
        raise InputError(f"{target} cannot be written: {one_line(error)}") from None
