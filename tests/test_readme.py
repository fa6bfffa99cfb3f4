"""The README says what is true: its Python runs, its commands exist, its refusals are real."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api import create_app
from bayes_clv.cli.commands import app
from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.transactions import Transactions
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.posterior.posterior import Posterior

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    assert found, f"the README shows no {language}"
    return found


def exchange(curl: str) -> tuple[str, str]:
    """The one body that is shown to be sent like this, and the answer below it."""
    (shown,) = re.findall(curl + r" \S+\n(\{.*\})$", "\n".join(blocks("console")), re.MULTILINE)
    body, answer = shown
    return body, answer


def test_the_python_examples_run_on_a_log_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = "\n".join(blocks("python"))  # the second goes on where the first ends
    log = load_cdnow(sample=True).table.to_pandas()
    few = log[log["customer_id"].isin(log["customer_id"].unique()[:500])]
    few.to_csv(tmp_path / "orders.csv", index=False)
    monkeypatch.chdir(tmp_path)
    fits: list[dict[str, object]] = []
    whole = HierarchicalBetaGeo.fit

    def short(self: HierarchicalBetaGeo, log: Transactions, **options: object) -> Posterior:
        fits.append(options)
        few_draws = {"draws": 100, "tune": 100, "chains": 2}
        return whole(self, log, **few_draws | options)  # type: ignore[arg-type]

    monkeypatch.setattr(HierarchicalBetaGeo, "fit", short)
    names: dict[str, Any] = {}
    exec(example, names)
    assert fits == [{"seed": 1, "progress": True}]
    table = names["posterior"].compare_segments().table
    assert len(table) > 2
    assert table["customers"].sum() == few.loc[few["amount"] > 0, "customer_id"].nunique()
    assert {"value", "value_at_risk"} <= set(table.columns), "as a comment says"


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
    checked: set[str] = set()
    for line in lines:
        command = line.split()[0]
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        known = set(re.findall(r"(?<![\w-])--[a-z-]+", shown))
        options = set(re.findall(r"(?<=\s)--[a-z-]+", line))
        assert options <= known, line
        checked |= options
    assert {"--out", "--plot", "--horizon", "--money", "--port"} <= checked


def test_the_refusal_shown_is_what_the_service_answers(
    posterior_by_hand: Callable[[], Posterior],
) -> None:
    body, expected = exchange(r'curl -d "(\\".*?wrong_variable.*?\\")"')
    answer = (
        create_app(posterior_by_hand())
        .test_client()
        .post("/predict", data=body.replace('\\"', '"'))
    )
    assert answer.status_code == 503
    assert answer.get_json() == json.loads(expected)


@pytest.mark.long
def test_the_answer_shown_is_that_of_a_fit_to_cdnow() -> None:
    body, shown = exchange(r"curl -d '(\{.*?\})'")
    app = create_app(HierarchicalBetaGeo().fit(load_cdnow()))
    answer = app.test_client().post("/predict", data=body).text.strip()
    decimal = r"\d+\.\d+"
    assert re.sub(decimal, "…", answer) == re.sub(decimal, "…", shown)
    said, printed = (
        [float(one) for one in re.findall(decimal, words)] for words in (answer, shown)
    )
    assert len(printed) > 6, "means, levels and ends"
    assert said == pytest.approx(printed, rel=0.1)  # Monte Carlo error
