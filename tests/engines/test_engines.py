"""The same answers wherever the log lives: DuckDB's are the reference for Spark and PostgreSQL."""

import dataclasses
import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from bayes_clv.cli.commands import app
from bayes_clv.data import engines
from bayes_clv.data.adequacy import measure_log
from bayes_clv.data.engines import connect, to_arrow, upload
from bayes_clv.data.reading import read_transactions
from bayes_clv.data.rfm import customers, durations, summarise
from bayes_clv.data.states import States
from bayes_clv.errors import InputError
from bayes_clv.inference import estimator as hierarchical
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.inference.spend.table import spend_table
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.log_states import compare_log
from bayes_clv.posterior.posterior import load_posterior
from bayes_clv.posterior.scores import check_target, create_table, score_log, write_scores
from bayes_clv.segments.estimators import KMeansSegmenter, RFMSegmenter
from bayes_clv.segments.expressions import segment_code, segment_weights, thousandths
from bayes_clv.segments.rules import ColumnRule, KMeansRule, RFMRule
from tests.engines.conftest import cluster_in

ZONE = "America/New_York"
ROOT = Path(__file__).parents[2]
END = dt.date(2021, 6, 30)
SEGMENTERS = {
    "rfm": RFMSegmenter(),
    "kmeans": KMeansSegmenter(3),
    "kmeans of two": KMeansSegmenter(2, features=("idle_time", "frequency")),
    "column": "column",
}


def made_up(n: int, seed: int = 8) -> pd.DataFrame:
    """A log of instants, in no order, with ids in several scripts and every kind of bad row."""
    rng = np.random.default_rng(seed)
    letters = np.array(["ä", "Zoë ", "zo-", "Ω", "客", "b ", "B", "é", "0"])
    customer = rng.integers(0, n // 7, size=n)
    when = pd.Timestamp("2020-01-01", tz="UTC") + pd.to_timedelta(
        rng.integers(0, 560 * 24 * 60, size=n), unit="min"
    )
    log = pd.DataFrame(
        {
            "customer": [f"{letters[c % 9]}{c}" for c in customer],
            "date": when,
            "amount": np.round(rng.gamma(2.0, 15.0, size=n), 2),
            "invoice": [str(i) for i in range(n)],
            "segment": letters[(customer + (rng.random(n) < 0.1)) % 4],
        }
    )
    for reason, rows in enumerate(np.array_split(rng.permutation(n)[: n // 10], 5)):
        match reason:
            case 0:
                log.loc[rows, "customer"] = rng.choice(["", " ", "NaN"], size=len(rows))
            case 1:
                log.loc[rows, "invoice"] = [f"C{i}" for i in rows]
                log.loc[rows, "amount"] *= -1
            case 2:
                log.loc[rows, "amount"] = 0.0
            case 3:
                log.loc[rows, "amount"] = np.nan
            case 4:
                log.loc[rows, "customer"] = None
    return log


@pytest.fixture(scope="module")
def log(duckdb, postgres, tmp_path_factory) -> Path:
    """The log as a Parquet file, and as the table `log` of both databases."""
    frame = made_up(4_000)
    path = tmp_path_factory.mktemp("logs") / "log.parquet"
    frame.to_parquet(path, coerce_timestamps="us")
    duckdb.create_table("log", frame)
    postgres.create_table("log", frame)
    return path


@pytest.fixture(scope="module")
def spark(spark, log) -> Any:
    """Spark, where the table `log` is the file."""
    spark.read_parquet(log, table_name="log")
    return spark


def read(connection, **options) -> Any:
    return read_transactions(
        connection,
        table="log",
        end=END,
        time_zone=ZONE,
        refunds="net",
        segment="segment",
        **options,
    )


def states_of(transactions) -> pd.DataFrame:
    return customers(transactions).sort_values("customer_id").reset_index(drop=True)


def test_the_ledger_and_the_states_are_the_same(log, duckdb, engine):
    expected, found = read(duckdb), read(engine)
    assert found.ledger == expected.ledger
    assert (found.start, found.end) == (expected.start, expected.end)
    assert len(expected.ledger.rejected) == 5
    pd.testing.assert_frame_equal(states_of(found), states_of(expected), check_exact=True)
    assert len(states_of(expected)) > 500


def test_the_zone_tells_the_day(log, duckdb, engine):
    options = {"table": "log", "end": END}
    days = {}
    for zone in ("UTC", ZONE):
        expected, days[zone] = (
            states_of(read_transactions(connection, time_zone=zone, **options))
            for connection in (duckdb, engine)
        )
        pd.testing.assert_frame_equal(days[zone], expected, check_exact=True)
    assert not days[ZONE].equals(days["UTC"])
    with pytest.raises(InputError, match=r"time_zone \(--time-zone\) must be one that"):
        read_transactions(engine, time_zone="Europe/Atlantis", **options)


@pytest.mark.parametrize("kind", SEGMENTERS)
def test_what_the_model_is_fitted_to_is_the_same(log, duckdb, engine, kind, monkeypatch):
    monkeypatch.setattr(hierarchical, "MAX_LEARNING_STATES", 700)  # of some 2,000: a sample
    model = HierarchicalBetaGeo(segmenter=SEGMENTERS[kind], landmarks=3)
    expected, found = model.prepare(read(duckdb)), model.prepare(read(engine))
    assert found.rule == expected.rule
    assert len(expected.table) > 100
    for field in dataclasses.fields(expected.table):
        name = field.name
        np.testing.assert_array_equal(getattr(found.table, name), getattr(expected.table, name))
    if kind != "rfm":
        return
    n = len(expected.rule.names)
    figures, others = (
        measure_log(data.states, data.landmarks, data.rule.names) for data in (found, expected)
    )
    assert figures.segments == others.segments
    assert figures.gap == pytest.approx(others.gap, rel=1e-12)
    spend, reference = spend_table(found.states, n), spend_table(expected.states, n)
    for one, other in ((spend, reference), (spend.sums, reference.sums)):
        names = getattr(one, "_fields", None) or [
            it.name for it in dataclasses.fields(one) if it.name != "sums"
        ]
        for name in names:
            np.testing.assert_allclose(
                getattr(one, name), getattr(other, name), rtol=1e-11, atol=1e-9, err_msg=name
            )


@pytest.fixture(scope="module")
def models(log, duckdb, posterior_by_hand) -> dict[str, Any]:
    rule = HierarchicalBetaGeo(landmarks=3).prepare(read(duckdb)).rule
    own = ColumnRule(("b", "ä", "Ω"))
    return {
        "value": posterior_by_hand(rule, spend=True),
        "no value": posterior_by_hand(rule, spend=True),
        "no spend": posterior_by_hand(rule),
        "own segments": posterior_by_hand(own),
    }


def scored(models, connection, kind):
    transactions = read(connection)
    if kind != "own segments":  # the rule's, not the log's
        table = transactions.table.drop("segment")
        transactions = dataclasses.replace(transactions, table=table)
    return score_log(
        models[kind],
        transactions,
        60.0,
        ValueTerms(200.0, 0.05, 0.4),
        value=kind != "no value",
        seed=3,
    )


@pytest.mark.parametrize("kind", ["value", "no value", "no spend", "own segments"])
def test_scores_are_the_same_for_everybody(log, duckdb, engine, models, kind, monkeypatch):
    monkeypatch.setattr("bayes_clv.posterior.scores.BATCH", 300)  # several, as of many states
    expected, found = (
        scored(models, connection, kind).to_pandas().sort_values("customer_id", ignore_index=True)
        for connection in (duckdb, engine)
    )
    assert len(expected) > 500
    assert ("expected_value" in expected) == (kind == "value")
    assert not expected.drop(columns="segment").isna().any().any()
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=1e-12, atol=1e-14)
    for name in ("customer_id", "frequency", "recency", "T", "monetary_value", "segment"):
        assert found[name].equals(expected[name])


def test_segments_compare_alike(log, duckdb, engine, models):
    transactions = [dataclasses.replace(read(each), refunds=None) for each in (engine, duckdb)]
    plain = [dataclasses.replace(t, table=t.table.drop("segment")) for t in transactions]
    found, expected = (compare_log(models["value"], each, horizon=60.0).table for each in plain)
    assert len(expected) > 5
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=1e-12)
    assert expected["customers"].sum() == len(states_of(plain[1]))


def test_rounding_noise_and_own_segments_are_judged_alike(engine):
    price = 33.33
    spend = [price, np.nextafter(price, 0), np.nextafter(price, 99), sum([price] * 3) / 3]
    texts = ["1", "1.0", "01", "TRUE", "web", "2024-05-01 00:00:00", "2024-05-01T00:00", "Web"]
    frame = pd.DataFrame({"frequency": 2, "recency": 5.0, "T": 9.0, "monetary_value": spend * 2})
    frame = frame.assign(segment=texts, row=range(len(texts)))
    table = upload(engine, iter([pa.Table.from_pandas(frame, preserve_index=False)]))
    rfm = RFMRule((1.0, 2.0, 3.0, 9.0), (1.0, 3.0, 8.0), (5.0, 20.0, price, 60.0))
    own = ColumnRule(("1", "01", "true", "web", "2024-05-01"))
    for rule, expected in ((rfm, [8] * 8), (own, [0, 0, 1, 2, 3, 4, 4, -1])):
        coded = table.select("row", code=segment_code(rule, table)).order_by("row")
        assert coded.to_pandas()["code"].tolist() == expected
        assert rule.assign(States.from_frame(frame)).tolist() == expected


def test_soft_segments_weigh_alike(engine):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"frequency": rng.choice([0, 1, 2, 5, 40, 10**9], 200), "recency": 0.0})
    frame = frame.assign(T=rng.choice([0.0, 1.0, 9.5, 80.0, 4000.0, 1e15], 200), row=range(200))
    frame["monetary_value"] = rng.choice([np.nan, 0.0, 1e-300, 7.0, 20.0, 1e300], 200)
    names = ("frequency", "recency", "T", "monetary_value")
    states = States(*(frame[name].to_numpy(float) for name in names))
    table = upload(engine, iter([pa.Table.from_pandas(frame, preserve_index=False)]))
    cuts = ((1.0, 8.0, 40.0, 90.0), (1.0, 3.0, 8.0), (5.0, 20.0, 33.3, 60.0))
    kmeans = KMeansRule(
        ("a", "b", "c"),
        ("idle_time", "frequency", "monetary_value"),
        (3.0, 1.0, 2.0),
        (1.5, 0.7, 0.9),
        ((-1.0, 1.2, 0.8), (0.9, -0.8, 0.0), (0.2, 0.1, -1.0)),
    )
    soft = [RFMRule(*cuts, 0.6), RFMRule(*cuts, 1e-3), dataclasses.replace(kmeans, bandwidth=1.0)]
    soft += [dataclasses.replace(kmeans, bandwidth=0.05)]
    for rule in soft:
        weights = dict(zip("abcdefghijk", segment_weights(rule, table), strict=False))
        found = to_arrow(table.select("row", **weights).order_by("row")).to_pandas()
        expected = rule.weights(states)
        np.testing.assert_allclose(found[list(weights)], expected, rtol=0, atol=1e-10)
        whole = to_arrow(thousandths(rule, table).order_by("row")).to_pandas()
        rounded = np.floor(1000 * expected.cumsum(axis=1) + 0.5 + 1e-9)
        rounded = np.diff(rounded, axis=1, prepend=0)
        names = [f"w{segment}" for segment in range(len(rule.names))]
        np.testing.assert_array_equal(whole[names], rounded)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_scores_are_written_where_they_are_wanted(log, duckdb, engine, models, tmp_path, ending):
    target = str(tmp_path / f"scores.{ending}")
    scores = scored(models, engine, "no spend")
    write_scores(scores, target)
    if Path(target).is_dir():
        parts = sorted(Path(target).glob(f"part-*.{ending}"))
        reader = pd.read_parquet if ending == "parquet" else pd.read_csv
        written = pd.concat(reader(part) for part in parts)
        with pytest.raises(InputError, match="exists already"):
            check_target(target, read(engine))
        with pytest.raises(InputError, match="cannot be written"):
            write_scores(scores, target)
    else:
        written = pd.read_parquet(target) if ending == "parquet" else pd.read_csv(target)
        assert [path.name for path in tmp_path.iterdir()] == [f"scores.{ending}"]
    expected = scored(models, duckdb, "no spend").to_pandas()
    pd.testing.assert_frame_equal(
        written.sort_values("customer_id", ignore_index=True),
        expected.sort_values("customer_id", ignore_index=True),
        rtol=1e-12,
        check_dtype=False,
    )


def test_scores_become_a_table_which_is_not_replaced(log, postgres, models):
    scores = scored(models, postgres, "no spend")
    create_table(scores, "scored")
    assert postgres.table("scored").count().execute() == scores.count().execute()
    with pytest.raises(InputError, match="the table 'scored' cannot be created"):
        create_table(scores, "scored")


def test_one_command_fits_and_one_scores_in_the_database(log, postgres_url, postgres, tmp_path):
    model = tmp_path / "model.clv"
    source = [postgres_url, "--table", "log", "--time-zone", ZONE]
    fit = ["fit", *source, "--out", str(model), "--segments", "none", "--no-spend", "--json"]
    result = CliRunner().invoke(app, [*fit, "--end", "2021-06-30"])
    assert result.exit_code == 0, result.stderr
    ledger = json.loads(result.stdout)["record"]["ledger"]
    assert ledger["rows_in"] == 4_000
    predict = ["predict", str(model), *source, "--out-table", "by_command"]
    result = CliRunner().invoke(app, predict)
    assert result.exit_code == 0, result.stderr
    n = postgres.table("by_command").count().execute()
    assert f"{n:,} customers written to the table by_command" in result.stdout
    result = CliRunner().invoke(app, ["predict", str(model), "cdnow", "--out-table", "x"])
    assert (result.exit_code, "needs a log in an engine" in result.stderr) == (2, True)


def command(*arguments: object) -> None:
    """Run `bayes-clv` in a process of its own, which can hold but one kind of Spark session."""
    program = Path(sys.executable).with_name("bayes-clv")
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_spark_connect_takes_the_same_commands_to_the_same_answers(
    log, models, connect_url, tmp_path
):
    fitted, segmented, written = (tmp_path / name for name in ("fit.clv", "by.clv", "to.parquet"))
    models["no spend"].save(segmented)
    source = [connect_url, "--table", log]
    command("fit", *source, "--out", fitted, "--end", END, "--segments", "none", "--no-spend")
    command("predict", segmented, *source, "--out", written, "--end", END)
    transactions = read_transactions(log, end=END)
    HierarchicalBetaGeo(segmenter=None, spend=False).fit(transactions).save(tmp_path / "here.clv")
    versions = {load_posterior(path).version for path in (fitted, tmp_path / "here.clv")}
    assert len(versions) == 1
    expected = score_log(models["no spend"], transactions, 90.0).to_pandas()
    assert len(expected) > 500
    pd.testing.assert_frame_equal(
        pd.read_parquet(written).sort_values("customer_id", ignore_index=True),
        expected.sort_values("customer_id", ignore_index=True),
        rtol=1e-12,
        check_dtype=False,
    )


KEEPER = """
import sys
from datetime import date

from bayes_clv.data.engines import connect, cached
from bayes_clv.data.rfm import durations, summarise
from bayes_clv.data.reading import read_transactions

url, log = sys.argv[1:]
connection = connect(url)
transactions = read_transactions(connection, table=log, end="2021-06-30")
states = cached(durations(summarise(transactions, [date(2020, 12, 31), date(2021, 6, 30)])))
query = connection.compile(states.group_by("T").agg(n=states.count()))
plan = connection._session.sql(query)._explain_string()
assert f"Scan In-memory table {states.get_name()}" in plan, plan
"""


@pytest.mark.long
def test_spark_connect_computes_once_what_is_kept(log, connect_url):
    subprocess.run([sys.executable, "-W", "ignore", "-c", KEEPER, connect_url, log], check=True)


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("spark://127.0.0.1:1", "pyspark", "spark"),
        ("postgresql://x@127.0.0.1/x", "psycopg", "postgres"),
    ],
)
def test_a_driver_that_is_missing_is_named_with_its_extra(url, module, extra, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "ibis.backends.postgres", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"it needs {module}; .*bayes-clv\[{extra}\]"):
        connect(url)


def test_java_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(engines.shutil, "which", lambda name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(InputError, match="Spark needs Java 17"):
        connect("spark://local")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (
            "postgresql://tester:secret@127.0.0.1:1/x",
            "cannot connect to postgresql://127.0.0.1:1/x",
        ),
        ("spark://", "must be spark://HOST:PORT"),
        ("sc://127.0.0.1:1", "cannot connect to sc://127.0.0.1:1: "),
        ("nonsense://x", "cannot connect to nonsense://x"),
    ],
)
def test_an_engine_that_cannot_be_reached_is_told_of_without_the_password(url, reason):
    with pytest.raises(InputError) as refused:
        connect(url)
    assert reason in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_table_that_is_missing_is_named(engine):
    with pytest.raises(InputError, match="has no table 'nowhere'"):
        read_transactions(engine, table="nowhere")


DRIVER = """
import sys, threading, time

from bayes_clv.posterior.posterior import load_posterior
from bayes_clv.data.engines import connect, to_arrow, upload
from bayes_clv.data.rfm import durations, summarise
from bayes_clv.posterior.scores import score_log, write_scores
from bayes_clv.data.reading import read_transactions

url, log, model, summary, written = sys.argv[1:]
connection = connect(url)
tracker = connection._session.sparkContext.statusTracker()
transactions = read_transactions(connection, table=log, end="2021-06-30")

def is_running():
    stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    return any(stage and stage.numActiveTasks for stage in stages)

def hurt(work):
    "Run the work, and have a worker killed while its tasks run."
    thread = threading.Thread(target=work)
    thread.start()
    while not is_running():
        assert thread.is_alive(), "the job ended before anything could happen to it"
        time.sleep(0.01)
    print("running", flush=True)
    assert input() == "killed"
    assert thread.is_alive(), "the job ended before the worker did"
    thread.join()

hurt(lambda: durations(summarise(transactions)).to_pandas().to_parquet(summary))
scores = score_log(load_posterior(model), transactions, 60.0)
hurt(lambda: write_scores(scores, written))
print("done", flush=True)
"""


@pytest.mark.long
def test_a_worker_that_is_killed_in_the_middle_changes_no_answer(models, tmp_path, duckdb, log):
    path, model = tmp_path / "log.parquet", tmp_path / "model.clv"
    summary, written = tmp_path / "summary.parquet", tmp_path / "scores.parquet"
    made_up(200_000).to_parquet(path, coerce_timestamps="us", row_group_size=25_000)
    models["no spend"].save(model)
    with cluster_in(tmp_path) as cluster:
        command = [sys.executable, "-W", "ignore", "-c", DRIVER, cluster.url]
        driver = subprocess.Popen(
            [*command, path, model, summary, written],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for worker in cluster.workers:
            assert driver.stdout.readline() == "running\n"
            cluster.kill(worker)
            cluster.add_worker()
            driver.stdin.write("killed\n")
            driver.stdin.flush()
        said, _ = driver.communicate(timeout=120)
        assert (driver.returncode, said) == (0, "done\n")
    transactions = read_transactions(duckdb, table=str(path), time_zone="UTC", end=END)
    expected = {
        summary: durations(summarise(transactions)),
        written: score_log(models["no spend"], transactions, 60.0),
    }
    for found, reference in expected.items():
        pd.testing.assert_frame_equal(
            pd.read_parquet(found).sort_values("customer_id", ignore_index=True),
            reference.to_pandas().sort_values("customer_id", ignore_index=True),
            rtol=1e-12,
            check_dtype=False,
        )
