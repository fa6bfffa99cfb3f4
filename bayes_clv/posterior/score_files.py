"""Files of scores: how they are written and recognised, and how their rows are counted.

A file is written under a temporary name, and its rows are counted there before it takes its place.
"""

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from ibis import ir

from bayes_clv.data.engines import one_line, spark_frame
from bayes_clv.data.targets import Kind, refusal, replacing
from bayes_clv.errors import InputError, shown
from bayes_clv.files import plain_name

BATCH = 200_000  # customers that another engine sends at a time
_LONGEST_HEADER = 1 << 16  # bytes
_BLOCK = 8 << 20  # bytes of CSV that are parsed at a time

_ANSWERS = ("prob_alive", "prob_purchase", "expected_purchases", "expected_spend", "expected_value")
_INTERVALS = (*_ANSWERS, "purchases", "value")
_KEYS = {"customer_id", "frequency", "recency", "T"}
_COLUMNS = {
    *(*_KEYS, "monetary_value", "total_spend", "segment"),
    *(*_ANSWERS, "past_value", "total_value", "dropout"),
    *(f"{name}_{end}" for name in _INTERVALS for end in ("lower", "upper")),
}


def _are_columns_of_scores(names: Iterable[str]) -> bool:
    return _KEYS | {"prob_alive"} <= set(names) <= _COLUMNS


def _is_parquet(file: BinaryIO) -> bool:
    try:
        return _are_columns_of_scores(pq.read_schema(file).names)
    except pa.ArrowException:
        return False


def _is_csv(file: BinaryIO) -> bool:
    header = file.readline(_LONGEST_HEADER).decode("utf-8-sig", "replace")
    try:
        return _are_columns_of_scores(next(csv.reader([header]), []))
    except csv.Error:
        return False


KINDS = {
    ".parquet": Kind("a Parquet file of scores", _is_parquet),
    ".csv": Kind("a CSV file of scores", _is_csv),
}


def kind_of(target: str) -> Kind:
    """Return what is written to a file of this name.

    Raises
    ------
    InputError
        If the ending is neither .parquet nor .csv.
    """
    kind = KINDS.get(_ending(target))
    if kind is None:
        raise InputError(f"--out must end in .parquet or .csv: {shown(os.path.basename(target))}")
    return kind


def write_file(scores: ir.Table, target: str, inputs: list[object], *, force: bool) -> int:
    """Write a file, and count its rows before it takes its place."""
    ending, expected = _ending(target), int(scores.count().execute())
    with replacing(target, kind_of(target), inputs=inputs, force=force) as temporary:
        if scores.get_backend().name == "duckdb":
            with plain_name(temporary) as name:
                scores.to_parquet(name) if ending == ".parquet" else scores.to_csv(name)
        else:
            _write_batches(scores, ending, temporary)
        try:
            found = _rows(temporary, ending)
        except pa.ArrowException as error:
            raise refusal(target, f"it cannot be read back: {one_line(error)}") from error
        _check_rows(target, found, expected)
    return found


def write_folder(scores: ir.Table, target: str) -> int:
    """Have Spark write a folder, and count its rows."""
    frame = spark_frame(scores)  # Ibis would write CSV in this process
    session, expected = frame.sparkSession, frame.count()
    if _ending(target) == ".parquet":
        frame.write.parquet(target)
        found = session.read.parquet(target).count()
    else:
        frame.write.csv(target, header=True)
        found = session.read.csv(target, header=True, multiLine=True).count()
    _check_rows(target, found, expected)
    return int(found)


def _write_batches(scores: ir.Table, ending: str, path: Path) -> None:
    """Write here the batches that an engine sends."""
    batches = scores.to_pyarrow_batches(chunk_size=BATCH)
    create: Any = pq.ParquetWriter if ending == ".parquet" else pyarrow.csv.CSVWriter
    with path.open("wb") as file, create(file, batches.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _rows(path: Path, ending: str) -> int:
    """Count the rows of a file."""
    with path.open("rb") as file:
        if ending == ".parquet":
            return int(pq.read_metadata(file).num_rows)
        batches = pyarrow.csv.open_csv(
            file,
            pyarrow.csv.ReadOptions(block_size=_BLOCK),
            pyarrow.csv.ParseOptions(newlines_in_values=True),
            pyarrow.csv.ConvertOptions(
                include_columns=["customer_id"], column_types={"customer_id": pa.binary()}
            ),
        )
        return sum(batch.num_rows for batch in batches)


def _check_rows(target: str, found: int, expected: int) -> None:
    if found != expected:
        raise refusal(target, f"{found:,} of {expected:,} rows were read back")


def _ending(target: str) -> str:
    # Not os.path.splitext, to which "..csv" is a name without an ending.
    return next((ending for ending in KINDS if target.endswith(ending)), "")
