"""The command line as a user meets it: exit codes, output, files."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from bayes_clv.artifact import load_posterior, save_posterior
from bayes_clv.cli import app
from bayes_clv.datasets import load_cdnow

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
    return path


@pytest.fixture
def unsound(model: Path, tmp_path: Path) -> Path:
    posterior = load_posterior(model)
    broken = replace(posterior.diagnostics, complaints=("R-hat is 1.2, it must be below 1.01",))
    path = tmp_path / "unsound.clv"
    save_posterior(replace(posterior, diagnostics=broken), path)
    return path


@pytest.mark.parametrize("command", ["fit", "predict", "segments", "diagnose", "serve"])
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_fit_keeps_the_ledger_in_the_model_file(model: Path, log: Path) -> None:
    ledger = load_posterior(model).record.ledger
    assert ledger.rows_in == len(pd.read_csv(log)) == 6919
    assert dict(ledger.rejected) == {"not positive amount": 8}


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


def test_diagnose_prints_the_verdict_and_its_json(model: Path) -> None:
    assert "Verdict: sound" in CliRunner().invoke(app, ["diagnose", str(model)]).output
    facts = json.loads(CliRunner().invoke(app, ["diagnose", str(model), "--json"]).stdout)
    assert facts["diagnostics"]["sound"] is True
    assert facts["record"]["n_customers"] == 2349


def test_a_posterior_that_failed_is_loud_and_exits_with_3(unsound: Path) -> None:
    for command in ("diagnose", "segments", "serve"):
        result = CliRunner().invoke(app, [command, str(unsound)])
        assert result.exit_code == 3, command
        assert "cannot be trusted (R-hat is 1.2" in result.stderr


def test_a_fit_that_fails_its_verdict_never_replaces_a_model(log: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.clv"
    target.write_bytes(b"yesterday's")
    short = ["--draws", "20", "--tune", "50", "--chains", "2", "--segments", "none"]
    result = CliRunner().invoke(app, ["fit", str(log), "--out", str(target), *short])
    assert result.exit_code == 3, result.output
    assert target.read_bytes() == b"yesterday's"
    assert not load_posterior(tmp_path / "model.unsound.clv").diagnostics.sound


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["fit", "absent.csv"], "absent.csv"),
        (["diagnose", "absent.clv"], "there is no such file"),
        (["fit", "cdnow", "--amount", "price"], "the embedded data take no options: amount"),
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
