"""The README says what is true: its Python runs, its commands exist, its refusals are real."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api import create_app
from bayes_clv.cli.commands import app
from bayes_clv.data.datasets import load_cdnow
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.posterior.posterior import Posterior

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_examples_run_on_a_log_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = "\n".join(blocks("python"))  # the second goes on where the first ends
    log = load_cdnow(sample=True).table.to_pandas()
    few = log[log["customer_id"].isin(log["customer_id"].unique()[:500])]
    few.to_csv(tmp_path / "orders.csv", index=False)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(example.replace("seed=1,", "seed=1, draws=100, tune=100, chains=2,"), names)
    assert len(names["posterior"].compare_segments().table) > 2  # type: ignore[attr-defined]


def test_every_command_and_option_shown_exists() -> None:
    lines = re.findall(
        r"^\$ bayes-clv (.*?)(?:\s+#.*)?$", "\n".join(blocks("console")), re.MULTILINE
    )
    assert {line.split()[0] for line in lines} == {
        "backtest",
        "fit",
        "predict",
        "segments",
        "diagnose",
        "serve",
    }
    for line in lines:
        command = line.split()[0]
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"--[a-z-]+", line):
            assert option in shown, line


def test_the_refusal_shown_is_what_the_service_answers(
    posterior_by_hand: Callable[[], Posterior],
) -> None:
    text = "\n".join(blocks("console"))
    body, expected = re.search(
        r'curl -d "(\\".*?wrong_variable.*?\\")" \S+\n(\{.*\})', text
    ).groups()  # type: ignore[union-attr]
    answer = (
        create_app(posterior_by_hand())
        .test_client()
        .post("/predict", data=body.replace('\\"', '"'))
    )
    assert answer.status_code == 503
    assert answer.get_json() == json.loads(expected)


@pytest.mark.long
def test_the_answer_shown_is_that_of_a_fit_to_cdnow() -> None:
    text = "\n".join(blocks("console"))
    body, shown = re.search(r"curl -d '(\{.*?\})' \S+\n(\{.*\})", text).groups()  # type: ignore[union-attr]
    app = create_app(HierarchicalBetaGeo().fit(load_cdnow()))
    answer = app.test_client().post("/predict", data=body).text.strip()
    decimal = r"\d+\.\d+"
    assert re.sub(decimal, "…", answer) == re.sub(decimal, "…", shown)
    said, printed = (
        [float(one) for one in re.findall(decimal, words)] for words in (answer, shown)
    )
    assert said == pytest.approx(printed, rel=0.1)  # Monte Carlo error
