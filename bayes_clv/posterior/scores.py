"""Scores: all answers about every customer of a log in one table, and writing that table.

Answers depend on a customer's state alone, so :func:`score_log` computes them once per distinct
state. The engine that holds the log assigns customers to segments and finds the distinct states;
this process receives the states in batches and sends the answers back as a table; the engine joins
that table to its customers. No customer passes through this process, so its memory does not grow
with the number of customers.
"""

import os
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
from ibis import ir

from bayes_clv import arguments
from bayes_clv.arguments import Days
from bayes_clv.data import targets
from bayes_clv.data.engines import cached, failures, is_url, one_line, to_arrow, upload
from bayes_clv.data.given_log import Log, as_log
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.every_answer import score_customers
from bayes_clv.posterior.log_states import KEYS, coded_customers
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.posterior.score_files import kind_of, write_file, write_folder
from bayes_clv.segments.rules import ColumnRule

BATCH = 200_000  # states; about 50 MB of answers
_SPARK, _SPARK_URLS = "pyspark", ("spark://", "sc://")


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
        Whether to include spend and value, where spend was fitted and the log has amounts.
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
    money = value and posterior.has_spend
    if (money or posterior.rule.soft) and transactions.has_amounts:
        keys.append("monetary_value")
    by_name = "segment" in states.columns and not isinstance(posterior.rule, ColumnRule)
    distinct = cached(states.select(*keys).distinct())
    total, names = int(distinct.count().execute()), posterior.answerable

    def answers() -> Iterator[pa.Table]:
        done = 0
        on_states(done, total)
        ordered = distinct.order_by(["code", "frequency", "T", "recency"])
        for batch in to_arrow(ordered).to_batches(max_chunksize=BATCH):
            frame = batch.to_pandas()
            codes = frame["code"].to_numpy(dtype=np.int64)
            if by_name:
                frame["segment"] = [names[code] for code in codes]
            scores = score_customers(
                posterior,
                frame,
                horizon,
                terms,
                value=value,
                level=level,
                seed=seed,
                codes=None if by_name else codes,
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


def check_target(
    target: str | os.PathLike[str],
    transactions: Transactions | None = None,
    *,
    inputs: Iterable[object] = (),
    force: bool = False,
) -> None:
    """Refuse a target that cannot be written, before any work is done.

    Parameters
    ----------
    target
        The file to write, or the folder that Spark makes.
    transactions
        The log, if it was read already; it tells whether Spark will write.
    inputs
        What is read: paths, folders, patterns and URLs. None of their files is ever replaced.
    force
        Whether an existing file that holds no scores may be replaced.

    Raises
    ------
    InputError
        If the ending is neither .parquet nor .csv, the folder does not exist or cannot be written,
        the target is an input or no regular file, or it holds something else than scores. Spark
        writes a folder: if the log is in Spark, also if a file or folder of this name exists.
    """
    inputs = list(inputs)
    in_spark = any(str(source).startswith(_SPARK_URLS) for source in inputs)
    if transactions is not None:
        in_spark = transactions.table.get_backend().name == _SPARK
    _check(targets.path_text(target), inputs, in_spark=in_spark, force=force)


def write_scores(
    scores: ir.Table,
    target: str | os.PathLike[str],
    *,
    inputs: Iterable[object] = (),
    force: bool = False,
) -> int:
    """Write a .parquet or .csv file, ordered by customer; a failure leaves the old file.

    Spark makes a folder of this name instead, in which each of its workers writes a part; the
    folder must not exist.

    Parameters
    ----------
    scores
        From :func:`score_log`.
    target, inputs, force
        As for :func:`check_target`.

    Returns
    -------
    int
        The number of customers, counted in what was written.

    Raises
    ------
    InputError
        If the target is refused or writing fails.
    """
    text, inputs = targets.path_text(target), list(inputs)
    in_spark = scores.get_backend().name == _SPARK
    _check(text, inputs, in_spark=in_spark, force=force)
    try:
        if in_spark:
            return write_folder(scores, text)
        return write_file(scores.order_by("customer_id"), text, inputs, force=force)
    except failures() as error:
        raise targets.refusal(text, one_line(error)) from None


def create_table(scores: ir.Table, name: str) -> int:
    """Create a table of this name in the engine that holds the scores; it must not exist.

    Returns
    -------
    int
        The number of customers, counted in the table.

    Raises
    ------
    InputError
        If the engine refuses it.
    """
    schema, _, bare = name.rpartition(".")
    try:
        table = scores.get_backend().create_table(bare, scores, database=schema or None)
        return int(table.count().execute())
    except failures() as error:
        raise InputError(f"the table {name!r} cannot be created: {one_line(error)}") from None


def _check(target: str, inputs: list[object], *, in_spark: bool, force: bool) -> None:
    kind = kind_of(target.rstrip(os.sep))
    if not in_spark:
        targets.check_target(target, kind, inputs=inputs, force=force)
    elif not is_url(target):  # the engine checks a URL when it writes
        if os.path.lexists(target):
            reason = "it exists already: Spark would have to remove it first"
            raise targets.refusal(target, reason)
        targets.check_target(target, kind, inputs=inputs)
