"""Own segments on the command line: matched by value; what the model does not know is told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from bayes_clv import Posterior, read_transactions
from bayes_clv.cli.commands import app
from bayes_clv.errors import InputError, SegmentWarning
from bayes_clv.posterior import compare_log, score_log
from bayes_clv.segments.rules import ColumnRule


@pytest.fixture(scope="module")
def model(
    posterior_by_hand: Callable[..., Posterior], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("model") / "own.clv"
    posterior_by_hand(ColumnRule(("1", "2", "3"))).save(path)
    return path


def log_with(segments: list[object]) -> pd.DataFrame:
    """Thirty customers with two purchases each, in the given segments by turns."""
    rng = np.random.default_rng(30)
    customer = np.repeat(np.arange(30), 2)
    day = rng.integers(0, 300, 60).astype("timedelta64[D]")
    log = pd.DataFrame({"customer_id": customer, "date": np.datetime64("2024-01-01") + day})
    return log.assign(g=[segments[it % len(segments)] for it in customer], amount=5.0)


def run(command: str, model: Path, log: pd.DataFrame, folder: Path, *more: str) -> Result:
    log.to_csv(folder / "log.csv", index=False)
    out = ["--out", str(folder / "scores.csv")] if command == "predict" else []
    return CliRunner().invoke(app, [command, str(model), str(folder / "log.csv"), *out, *more])


@pytest.mark.parametrize("command", ["predict", "segments"])
def test_numbers_are_matched_however_they_are_written(
    command: str, model: Path, tmp_path: Path
) -> None:
    result = run(command, model, log_with([1.0, 2.0, 3.0]), tmp_path, "--segment", "g")
    assert result.exit_code == 0, result.output
    assert "the model does not know" not in result.stderr
    if command == "predict":
        scores = pd.read_csv(tmp_path / "scores.csv", dtype=str)
        assert scores["segment"].value_counts().to_dict() == {"1": 10, "2": 10, "3": 10}


@pytest.mark.parametrize("command", ["predict", "segments"])
def test_strangers_are_counted_and_named_in_one_line(
    command: str, model: Path, tmp_path: Path
) -> None:
    result = run(command, model, log_with(["1", "7", "8"]), tmp_path, "--segment", "g")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stderr.splitlines() if "the model does not know" in line]
    assert line == (
        "Warning: 20 of 30 customers have a segment that the model does not know, '7' (10), "
        "'8' (10), and are answered with the population's parameters; the model's segments are "
        "'1', '2', '3'"
    )


def test_a_column_that_is_not_named_is_missed(model: Path, tmp_path: Path) -> None:
    result = run("segments", model, log_with(["1"]), tmp_path)
    assert result.exit_code == 0
    assert "Warning: no segments were given, so all 30 customers" in result.stderr
    assert "--segment COLUMN" in result.stderr


def test_a_column_of_strangers_is_refused(model: Path, tmp_path: Path) -> None:
    result = run("predict", model, log_with(["7"]), tmp_path, "--segment", "g")
    assert result.exit_code == 2
    assert "none of 30 customers has one: theirs are '7' (30)" in result.stderr
    assert not (tmp_path / "scores.csv").exists()


@pytest.mark.parametrize("values", [[1, 2, 3], [1.0, 2.0, 3.0], ["1.0", "2.0", "3"]], ids=repr)
def test_a_log_in_python_is_matched_as_a_file_is(
    values: list[object], posterior_by_hand: Callable[..., Posterior]
) -> None:
    posterior = posterior_by_hand(ColumnRule(("1", "2", "3")))
    log = read_transactions(log_with(values), segment="g")
    assert compare_log(posterior, log).table["customers"].tolist() == [10, 10, 10]
    older = posterior_by_hand(ColumnRule(("1.0", "2.0", "3.0")))
    assert compare_log(older, log).table["customers"].tolist() == [10, 10, 10]


def test_a_log_in_python_warns_once_at_the_callers_line(
    posterior_by_hand: Callable[..., Posterior],
) -> None:
    posterior = posterior_by_hand(ColumnRule(("1", "2", "3")))
    with pytest.warns(SegmentWarning, match="10 of 30 customers") as warned:
        score_log(posterior, read_transactions(log_with([1, 2, 9]), segment="g"), 90)
    assert [each.filename for each in warned if each.category is SegmentWarning] == [__file__]
    with pytest.raises(InputError, match="none of 30 customers"):
        score_log(posterior, read_transactions(log_with([9]), segment="g"), 90)
