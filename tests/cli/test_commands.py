"""The command line as a user meets it: exit codes, output, files."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from api import create_app
from bayes_clv import customers, read_transactions
from bayes_clv.cli.commands import app
from bayes_clv.data.datasets import load_cdnow
from bayes_clv.posterior.posterior import load_posterior

MAIN = "from bayes_clv.cli.commands import main; main()"
FIT = ["--draws", "700", "--tune", "500", "--chains", "2", "--segments", "none", "--seed", "1"]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "orders.csv"
    frame = load_cdnow(sample=True).table.to_pandas()
    frame.rename(columns={"customer_id": "Customer ID"}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def model(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.clv"
    result = CliRunner().invoke(app, ["fit", str(log), "--out", str(path), *FIT])
    assert result.exit_code == 0, result.output
    assert "not positive amount" in result.output  # the ledger is printed
    assert "Verdict: sound" in result.output
    words = " ".join(result.output.split())
    assert "dropout: BG/NBD (customers may leave after a repeat purchase): log-likelihood" in words
    assert "of MBG/NBD, too close to decide" in words
    return path


@pytest.fixture
def unsound(model: Path, tmp_path: Path) -> Path:
    posterior = load_posterior(model)
    broken = replace(posterior.diagnostics, complaints=("R-hat is 1.2, it must be below 1.01",))
    path = tmp_path / "unsound.clv"
    replace(posterior, diagnostics=broken).save(path)
    return path


def run_json(*arguments: object) -> dict[str, Any]:
    """Run a command that succeeds with --json, and read what it prints."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


COMMANDS = {
    "fit": "--dropout",
    "predict": "--out-table",
    "segments": "--plot",
    "diagnose": "--json",
    "backtest": "--money",
    "serve": "--behind-proxy",
}


@pytest.mark.parametrize(("command", "option"), COMMANDS.items())
def test_every_command_has_help(command: str, option: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "Usage" in result.output
    assert option in result.output


def test_no_command_is_without_a_test_of_its_help() -> None:
    assert {it.name or it.callback.__name__ for it in app.registered_commands} == set(COMMANDS)


def test_fit_keeps_the_ledger_in_the_model_file(model: Path, log: Path) -> None:
    ledger = load_posterior(model).record.ledger
    assert ledger.rows_in == len(pd.read_csv(log)) == 6919
    assert dict(ledger.rejected) == {"not positive amount": 8}


def test_fit_keeps_the_choice_of_the_dropout_rule_in_the_model_file(model: Path) -> None:
    posterior = load_posterior(model)
    choice = posterior.record.dropout
    assert choice is not None
    assert (choice.asked, choice.chosen) == ("auto", posterior.dropout)
    assert choice.tied
    assert posterior.facts()["record"]["dropout"] == choice.to_dict()


def test_a_dropout_rule_that_was_asked_for_stays(log: Path, tmp_path: Path) -> None:
    path, few = tmp_path / "few.clv", ["--draws", "20", "--tune", "50", "--chains", "2"]
    options = ["--segments", "none", "--no-spend", "--dropout", "after_any", "--json"]
    result = CliRunner().invoke(app, ["fit", str(log), "--out", str(path), *few, *options])
    assert result.exit_code == 3, "so few draws are not sound"
    facts = json.loads(result.stdout)
    assert facts["dropout"] == "after_any"
    assert facts["record"]["dropout"] == {
        "asked": "after_any",
        "chosen": "after_any",
        "after_repeat": None,
        "after_any": None,
        "error": None,
    }


@pytest.mark.parametrize(
    ("options", "returns", "soft_fit"),
    [(["--dropout", "after_repeat"], True, True), (["--hard"], False, False)],
)
def test_fit_says_how_many_customers_come_back(
    options: list[str], returns: bool, soft_fit: bool, log: Path, tmp_path: Path
) -> None:
    path, few = tmp_path / "few.clv", ["--draws", "20", "--tune", "50", "--chains", "2"]
    given = ["fit", str(log), "--out", str(path), *few, "--no-spend", *options]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 3, "so few draws are not sound"
    assert ("start afresh, whatever their silence" in " ".join(result.output.split())) == returns
    posterior = load_posterior(tmp_path / "few.unsound.clv")
    assert posterior.record.soft_fit == soft_fit
    chance = posterior.facts()["reactivation"]
    assert (chance is not None) == returns
    if chance:
        assert 0 < chance["lower"] < chance["mean"] < chance["upper"] < 0.5


@pytest.mark.slow
def test_the_segments_that_forecast_best_are_fitted_and_the_choice_is_told(
    log: Path, tmp_path: Path
) -> None:
    path, few = tmp_path / "few.clv", ["--draws", "20", "--tune", "50", "--chains", "2"]
    options = ["--segments", "auto", "--n-segments", "3", "--no-spend"]
    result = CliRunner().invoke(app, ["fit", str(log), "--out", str(path), *few, *options])
    assert result.exit_code == 3, "so few draws are not sound"
    posterior = load_posterior(tmp_path / "few.unsound.clv")
    choice = posterior.record.segments
    assert choice is not None
    assert list(choice.scores) == ["none", "rfm", "kmeans"]
    numbers = {"none": 1, "rfm": 11, "kmeans": 3}
    assert len(posterior.segment_names) == numbers[choice.chosen]
    assert choice.chosen == max(choice.scores, key=lambda name: choice.scores[name])
    assert choice.words in " ".join(result.output.split())
    assert posterior.facts()["record"]["segments"] == choice.to_dict()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_predict_writes_one_row_per_customer_with_every_answer(
    model: Path, log: Path, tmp_path: Path, ending: str
) -> None:
    target = tmp_path / f"scores.{ending}"
    result = CliRunner().invoke(
        app, ["predict", str(model), str(log), "--out", str(target), "--horizon", "90"]
    )
    assert result.exit_code == 0, result.output
    scores = pd.read_csv(target) if ending == "csv" else pd.read_parquet(target)
    assert len(scores) == scores["customer_id"].nunique() == 2349
    for name in ("prob_alive", "prob_purchase", "expected_purchases"):
        assert (scores[f"{name}_lower"] <= scores[name]).all()
        assert (scores[name] <= scores[f"{name}_upper"]).all()
    assert (scores["purchases_lower"] <= scores["purchases_upper"]).all()
    assert (scores["prob_purchase"] <= scores["prob_alive"]).all()
    posterior, everybody = load_posterior(model), customers(read_transactions(log))
    scores = scores.astype({"customer_id": str}).sort_values("customer_id", ignore_index=True)
    for name, answers in (
        ("prob_alive", posterior.probability_alive(everybody)),
        ("prob_purchase", posterior.probability_of_purchase(everybody, 90)),
        ("expected_purchases", posterior.expected_purchases(everybody, 90)),
    ):
        answers = answers.astype({"customer_id": str}).sort_values("customer_id")
        assert scores["customer_id"].tolist() == answers["customer_id"].tolist()
        for column, end in (("mean", ""), ("lower", "_lower"), ("upper", "_upper")):
            np.testing.assert_allclose(scores[name + end], answers[column], rtol=1e-9)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]  # nothing left beside
    (tmp_path / "other").touch()
    assert target.stat().st_mode == (tmp_path / "other").stat().st_mode  # as any other new file


def test_segments_prints_a_table_json_and_a_figure(model: Path, tmp_path: Path) -> None:
    figure = tmp_path / "segments.png"
    result = CliRunner().invoke(app, ["segments", str(model), "--plot", str(figure)])
    assert result.exit_code == 0, result.output
    assert "all customers" in result.output
    assert figure.read_bytes().startswith(b"\x89PNG")
    stored = json.loads(CliRunner().invoke(app, ["segments", str(model), "--json"]).stdout)
    assert stored["horizon_days"] == 90
    assert stored["segments"][0]["customers"] == 2349


def test_segments_compares_the_customers_of_another_log(model: Path, log: Path) -> None:
    earlier = ["segments", str(model), str(log), "--end", "1997-12-31", "--horizon", "30"]
    compared = run_json(*earlier)
    assert compared["horizon_days"] == 30
    stored = run_json("segments", model)
    (now,), (then,) = stored["segments"], compared["segments"]
    assert then["customers"] == now["customers"] == 2349
    assert then["prob_alive"] > now["prob_alive"], "half a year of silence later"
    printed = CliRunner().invoke(app, earlier).stdout
    assert "Segments on 1997-12-31" in printed
    refused = CliRunner().invoke(app, ["segments", str(model), "--horizon", "30"])
    assert (refused.exit_code, "give the customers" in refused.stderr) == (2, True)
    refused = CliRunner().invoke(app, ["segments", str(model), "--end", "1997-12-31"])
    assert (refused.exit_code, "TRANSACTIONS must be given to use --end" in refused.stderr) == (
        2,
        True,
    )


def test_diagnose_prints_the_verdict_and_its_json(model: Path) -> None:
    assert "Verdict: sound" in CliRunner().invoke(app, ["diagnose", str(model)]).output
    facts = json.loads(CliRunner().invoke(app, ["diagnose", str(model), "--json"]).stdout)
    assert facts["diagnostics"]["sound"] is True
    assert facts["record"]["n_customers"] == 2349


@pytest.mark.long
def test_mbg_nbd_is_one_switch_and_every_answer_says_so(log: Path, tmp_path: Path) -> None:
    model, scores = tmp_path / "model.clv", tmp_path / "scores.csv"
    sampler = ["--segments", "kmeans", "--n-segments", "2"]
    fitted = run_json("fit", log, "--out", model, "--dropout", "after_any", *sampler)
    assert fitted["dropout"] == "after_any"

    result = CliRunner().invoke(app, ["predict", str(model), str(log), "--out", str(scores)])
    assert result.exit_code == 0, result.output
    customers = pd.read_csv(scores)
    assert set(customers["dropout"]) == {"after_any"}
    assert (customers["prob_alive_upper"] < 1).all(), "under BG/NBD it is 1 for one-time buyers"
    assert (customers["prob_purchase_upper"] < customers["prob_alive_upper"]).all()
    one_time = customers[customers["frequency"] == 0].iloc[0]

    compared = run_json("segments", model)
    assert compared["dropout"] == "after_any"
    for row in compared["segments"]:
        assert 0 < row["buys_again_lower"] < row["buys_again"] < row["prob_alive"] < 1
    printed = " ".join(CliRunner().invoke(app, ["segments", str(model)]).stdout.split())
    assert "(MBG/NBD, dropout after_any)" in printed
    assert "treats every one-time buyer as alive" not in printed

    client = create_app(model).test_client()
    for path in ("/", "/health/ready"):
        data = client.get(path).get_json()["data"]
        assert data.get("model", data)["dropout"] == "after_any", path
    sent = {name: int(one_time[name]) for name in ("frequency", "recency", "T")}
    data = client.post("/predict", json=sent).get_json()["data"]
    assert data["dropout"] == "after_any"
    assert float(data["prob_alive"]) < 1
    for said, name in (
        (data["prob_alive"], "prob_alive"),
        (data["credible_interval"]["upper"], "prob_alive_upper"),
        (data["prob_purchase"]["mean"], "prob_purchase"),
        (data["prob_purchase"]["lower"], "prob_purchase_lower"),
    ):
        assert float(said) == pytest.approx(one_time[name], rel=1e-12), name


def test_what_the_data_are_short_of_is_printed_with_the_verdict_and_changes_no_exit_code(
    log: Path, tmp_path: Path
) -> None:
    few, model = tmp_path / "few.csv", tmp_path / "model.clv"
    rows = pd.read_csv(log)
    rows[rows["Customer ID"].isin(rows["Customer ID"].unique()[::16])].to_csv(few, index=False)
    result = CliRunner().invoke(app, ["fit", str(few), "--out", str(model), *FIT])
    assert result.exit_code == 0, result.output
    facts = run_json("diagnose", model)
    (warning,) = facts["record"]["warnings"]
    assert "customers bought on a second day, fewer than 100" in warning
    assert warning == run_json("fit", few, "--out", model, *FIT)["record"]["warnings"][0]
    for output in (result.output, CliRunner().invoke(app, ["diagnose", str(model)]).output):
        words = " ".join(output.split())
        assert f"Verdict: sound. Warning: {warning}." in words


def test_nothing_is_said_of_a_log_that_is_short_of_nothing(model: Path) -> None:
    assert run_json("diagnose", model)["record"]["warnings"] == []
    assert "Warning" not in CliRunner().invoke(app, ["diagnose", str(model)]).output


def test_a_posterior_that_failed_is_loud_and_exits_with_3(unsound: Path) -> None:
    for command in ("diagnose", "segments", "serve"):
        result = CliRunner().invoke(app, [command, str(unsound)])
        assert result.exit_code == 3, command
        assert "cannot be trusted (R-hat is 1.2" in result.stderr


def test_a_remark_is_said_and_stops_nothing(model: Path, tmp_path: Path) -> None:
    posterior = load_posterior(model)
    remark = "1 of 1,400 transitions diverged, no more than 1 in 1,000"
    remarked = replace(posterior.diagnostics, divergences=1, remarks=(remark,))
    path = tmp_path / "remark.clv"
    replace(posterior, diagnostics=remarked).save(path)
    result = CliRunner().invoke(app, ["diagnose", str(path)])
    assert result.exit_code == 0
    assert f"Verdict: sound, with a remark: {remark}." in " ".join(result.output.split())
    found = run_json("diagnose", path)["diagnostics"]
    assert (found["sound"], found["remarks"]) == (True, [remark])
    assert CliRunner().invoke(app, ["segments", str(path)]).exit_code == 0


def test_an_interrupt_while_sampling_ends_the_command_and_writes_nothing(
    log: Path, tmp_path: Path
) -> None:
    target = tmp_path / "model.clv"
    long = ["--segments", "none", "--draws", "300000", "--chains", "2"]
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "fit", str(log), "--out", str(target), *long],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stderr is not None
        said = ""
        while process.poll() is None and not said.startswith("sampling"):
            said = process.stderr.readline()
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in rest
    assert "sampling" not in rest, "it does not begin again"


def test_where_all_pay_one_price_that_price_is_what_is_expected(log: Path, tmp_path: Path) -> None:
    path, model = tmp_path / "subscribers.csv", tmp_path / "model.clv"
    rows = pd.read_csv(log).drop_duplicates(["Customer ID", "date"])
    rows.assign(amount=9.99).to_csv(path, index=False)
    result = CliRunner().invoke(app, ["fit", str(path), "--out", str(model), *FIT])
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "Verdict: sound." in words
    assert "spend is left out" not in words
    target = tmp_path / "s.csv"
    result = CliRunner().invoke(app, ["predict", str(model), str(path), "--out", str(target)])
    assert result.exit_code == 0, result.output
    scores = pd.read_csv(target)
    np.testing.assert_allclose(scores["expected_spend"], 9.99, rtol=2e-3)


def test_a_fit_that_fails_its_verdict_never_replaces_a_model(
    model: Path, log: Path, tmp_path: Path
) -> None:
    target = tmp_path / "model.clv"
    target.write_bytes(model.read_bytes())
    short = ["--draws", "20", "--tune", "50", "--chains", "2", "--segments", "none"]
    result = CliRunner().invoke(app, ["fit", str(log), "--out", str(target), *short])
    assert result.exit_code == 3, result.output
    assert target.read_bytes() == model.read_bytes()
    assert not load_posterior(tmp_path / "model.unsound.clv").diagnostics.sound


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["fit", "absent.csv"], "absent.csv"),
        (["diagnose", "absent.clv"], "there is no such file"),
        (["fit", "cdnow", "--amount", "price"], "the embedded data take no options: --amount"),
        (["fit", "cdnow", "--segments", "none", "--draws", "1"], "draws must be at least 4: 1"),
    ],
)
def test_bad_input_exits_with_2_in_one_line(arguments: list[str], reason: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert len(errors) == 1
    assert reason in errors[0]


def test_predict_refuses_an_unknown_ending_before_it_reads_anything(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["predict", "absent.clv", "absent.csv", "--out", str(tmp_path / "scores.doc")]
    )
    assert result.exit_code == 2
    assert "--out must end in .parquet or .csv" in result.stderr


def test_serve_takes_its_settings_from_the_environment(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr("api.server.serve", lambda path, **options: given.update(options, m=path))
    environment = {
        "PORT": "9001",
        "BAYES_CLV_HOST": "0.0.0.0",
        "BAYES_CLV_MODEL": str(model),
        "BAYES_CLV_ALLOW_PUBLIC": "1",
        "WEB_CONCURRENCY": "3",
    }
    result = CliRunner().invoke(app, ["serve"], env=environment)
    assert result.exit_code == 0, result.output
    assert (given["m"], given["host"], given["port"]) == (model, "0.0.0.0", 9001)
    assert (given["workers"], given["allow_public"]) == (3, True)
    assert (given["behind_proxy"], given["allow_unsound"]) == (False, False)
    result = CliRunner().invoke(app, ["serve"], env=environment | {"PORT": "http"})
    assert result.exit_code == 2
