"""Files of scores: every name works, and what was not read back never takes a file's place."""

import datetime as dt
import os
import tempfile
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ibis import ir

from bayes_clv.errors import ArtifactError, InputError
from bayes_clv.evaluation.simulate.logs import Scenario, write_transactions
from bayes_clv.models.bgnbd import Parameters
from bayes_clv.posterior import artifact, score_files
from bayes_clv.posterior.scores import check_target, create_table, write_scores
from tests.conftest import CDNOW, posterior_of

# A line break, quotes and a delimiter in an id must not change how many rows are counted.
IDS = ["b", "a", 'two\nlines, "quoted"', "cr\rlf\r\n", "é"]


@pytest.fixture(scope="module")
def scores() -> ir.Table:
    frame = pd.DataFrame({"customer_id": IDS, "frequency": 1.0, "recency": 2.0, "T": 3.0})
    frame = frame.assign(segment="all", prob_alive=0.5, dropout="after_repeat")
    return ibis.duckdb.connect().create_table("scores", frame)


names = st.binary(min_size=1, max_size=240).map(lambda it: it.translate(None, b"/\0") or b"x")


@settings(max_examples=60, deadline=None)
@given(name=names, ending=st.sampled_from([".csv", ".parquet"]))
@example(name=b"a\\b", ending=".parquet")
@example(name=b"it's \"\\\n\t*?[x]{1}%s", ending=".csv")
@example(name=b"\xff\xfe", ending=".parquet")
def test_every_name_works_for_a_file_and_for_its_folder(
    scores: ir.Table, name: bytes, ending: str
) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = os.fsencode(root) + b"/f" + name
        os.mkdir(folder)
        target = folder + b"/" + name + ending.encode()
        for _ in range(2):  # the second replaces the first
            assert write_scores(scores, os.fsdecode(target)) == len(IDS)
            assert os.listdir(folder) == [name + ending.encode()]
        with open(target, "rb") as file:
            read = pd.read_csv if ending == ".csv" else pd.read_parquet
            assert set(read(file)["customer_id"]) >= {"a", "b", "é", 'two\nlines, "quoted"'}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("fault", ["elsewhere", "fewer", "cut short"])
def test_a_file_that_cannot_be_read_back_leaves_the_old_one(
    scores: ir.Table, ending: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / f"scores{ending}"
    write_scores(scores, target)
    before = target.read_bytes()
    write = "to_parquet" if ending == ".parquet" else "to_csv"
    whole = getattr(ir.Table, write)

    def faulty(table: ir.Table, path: str) -> None:
        if fault == "fewer":
            whole(table.limit(3), path)
        elif fault == "cut short":
            whole(table, path)
            os.truncate(path, 40)

    monkeypatch.setattr(ir.Table, write, faulty)
    with pytest.raises(InputError, match=r"read back|cannot be written"):
        write_scores(scores, target)
    assert target.read_bytes() == before
    assert os.listdir(tmp_path) == [target.name]


def test_only_scores_are_taken_for_scores(scores: ir.Table, tmp_path: Path) -> None:
    log = pd.DataFrame({"customer_id": [1], "date": ["2020-01-01"], "amount": [1.0]})
    states = pd.DataFrame({"customer_id": [1], "frequency": [1], "recency": [2], "T": [3]})
    more = states.assign(prob_alive=0.5, phone="0123")
    for number, frame in enumerate((log, states, more)):
        for ending in ("csv", "parquet"):
            path = tmp_path / f"{number}.{ending}"
            frame.to_csv(path) if ending == "csv" else frame.to_parquet(path)
            with pytest.raises(InputError, match=r"it exists and is not a .* file of scores"):
                check_target(path)
            check_target(path, force=True)
            with pytest.raises(InputError, match="it is an input"):
                write_scores(scores, path, inputs=[path], force=True)
    for wrong in (None, 3, b"bytes"):
        with pytest.raises(InputError, match="must be text or a Path"):
            check_target(wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="zero byte"):
        check_target("a\0.csv")


def test_every_column_that_is_written_is_known(customers_with_spend: pd.DataFrame) -> None:
    from bayes_clv.posterior.every_answer import score_customers

    written = score_customers(posterior_of(spend=True), customers_with_spend, 90)
    assert {"expected_value", "value_lower", "total_value"} <= set(written.columns)
    assert score_files._are_columns_of_scores(written.columns)


@pytest.fixture
def customers_with_spend() -> pd.DataFrame:
    states: dict[str, Any] = {"customer_id": [1], "frequency": [2], "recency": [30], "T": [90]}
    return pd.DataFrame(states | {"monetary_value": [10.0], "total_spend": [30.0]})


def test_a_table_is_counted_where_it_is(scores: ir.Table) -> None:
    assert create_table(scores, "scored") == len(IDS)


def test_a_model_that_could_not_be_read_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.clv"
    version = posterior_of().save(path)
    before = path.read_bytes()
    assert artifact.read(path).version == version
    for name in ("_MAX_DRAWS", "_MAX_MANIFEST"):
        with monkeypatch.context() as patch:
            patch.setattr(artifact, name, 1000)
            with pytest.raises(ArtifactError, match="more than the 1,000"):
                posterior_of(seed=2).save(path)
    with monkeypatch.context() as patch:
        patch.setattr(artifact, "_zip", lambda *members: before[:-9])
        with pytest.raises(ArtifactError, match="cannot be written: what was read back"):
            posterior_of(seed=2).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.clv"]


def test_a_model_replaces_another_kind_of_file_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("customer,date\n")
    with pytest.raises(ArtifactError, match="it exists and is not a model file"):
        posterior_of().save(path)
    assert path.read_text() == "customer,date\n"
    posterior_of().save(path, force=True)
    artifact.read(path)


def test_a_simulated_log_replaces_only_simulated_logs(tmp_path: Path) -> None:
    scenario = Scenario(Parameters(*CDNOW), dt.date(2020, 1, 1), dt.date(2020, 12, 31))
    path = tmp_path / "log.parquet"
    assert write_transactions(path, scenario, 50) == len(pd.read_parquet(path))
    assert write_transactions(path, scenario, 60, seed=1) == len(pd.read_parquet(path))
    pd.read_parquet(path).assign(shop="Oxford").to_parquet(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="it exists and is not a simulated log"):
        write_transactions(path, scenario, 50)
    assert path.read_bytes() == before
    write_transactions(path, scenario, 50, force=True)
