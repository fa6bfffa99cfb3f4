"""The dashboard as it comes from the server, without a browser."""

import hashlib
import math
import re
from dataclasses import replace

import pandas as pd
import pytest

from api import create_app
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior.diagnostics import Diagnostics
from bayes_clv.segments.rules import KMeansRule

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
TOKEN = "a-token-that-is-long"
# Of dist/chart.umd.min.js in the npm package chart.js 4.6.1.
CHART_JS = "87364cc2b2a76a6684929e7d6b80b18a897794db38400caff1fcf1791c6925d2"


@pytest.fixture(scope="module")
def fitted(posterior_by_hand, make_customers):
    return posterior_by_hand(fitted_to=make_customers(300), spend=True)


def page_of(posterior, **options):
    return create_app(posterior, token="", **options).test_client().get("/", headers=BROWSER)


def many_segments(n):
    names = tuple(f"segment {i}" for i in range(n))
    centroids = tuple((math.log1p(i),) for i in range(n))
    return KMeansRule(
        names=names, features=("frequency",), location=(0.0,), scale=(1.0,), centroids=centroids
    )


@pytest.mark.parametrize(
    ("accept", "mimetype"),
    [
        (BROWSER["Accept"], "text/html"),
        ("text/html", "text/html"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.9", "application/json"),
        (None, "application/json"),
    ],
)
def test_browsers_get_the_page_and_programs_the_routes(fitted, accept, mimetype):
    headers = {} if accept is None else {"Accept": accept}
    answer = create_app(fitted, token="").test_client().get("/", headers=headers)
    assert answer.mimetype == mimetype
    assert "Accept" in answer.vary


def test_every_segment_is_there_with_the_figures_of_the_route(fitted):
    page = page_of(fitted).text
    client = create_app(fitted, token="").test_client()
    for row in client.get("/v1/segments").json["data"]["segments"]:
        assert f'<th scope="row">{row["segment"]}</th>' in page
        for name in ("prob_alive", "buys_again", "expected_purchases", "value", "value_at_risk"):
            ends = (row[name], row[f"{name}_lower"], row[f"{name}_upper"])
            mean, lower, upper = ends
            data = f'data-mean="{mean}" data-lower="{lower}" data-upper="{upper}"'
            assert f'data-measure="{name}" {data}' in page


def test_the_segment_that_leaves_first_is_named_first(fitted):
    page = page_of(fitted).text
    table = fitted.compare_segments(level=0.9).table
    first = table["prob_alive"].idxmin()
    assert f"Highest churn: <strong>{first}</strong>" in page
    assert re.findall(r'<tr>\s*<th scope="row">(.*?)</th>', page)[: len(table)] == [
        *table.sort_values("prob_alive").index
    ]


def test_the_ledger_the_warnings_and_the_verdict_are_shown(fitted):
    page = page_of(fitted).text
    assert "rejected: no customer</th><td>−3</td>" in page
    assert "kept</th><td>69,576</td>" in page
    assert "Only 12 customers came back · été." in page
    assert "Every rule of the sampler’s diagnostics holds" in page
    unsound = replace(fitted, diagnostics=Diagnostics(1.2, 50, 60, 3, 0.9, ("R-hat is 1.2 <b>",)))
    page = page_of(unsound).text
    assert "NOT SOUND" in page
    assert "R-hat is 1.2 &lt;b&gt;" in page
    assert "<b>" not in page


def test_a_remark_is_shown_as_one(fitted):
    remark = "2 of 4,000 transitions diverged, no more than 1 in 1,000"
    remarked = replace(fitted.diagnostics, divergences=2, remarks=(remark,))
    page = page_of(replace(fitted, diagnostics=remarked)).text
    assert f"<strong>Sound, with a remark:</strong> {remark}." in page
    assert 'class="badge fair" href="#health">sound, with a remark<' in page
    assert "NOT SOUND" not in page
    assert "Every rule of the sampler" not in page


def test_the_blind_spot_is_told_of_where_the_model_has_it(posterior_by_hand, make_customers):
    for dropout in Dropout:
        posterior = posterior_by_hand(dropout=dropout, fitted_to=make_customers(50))
        page = page_of(posterior).text
        assert ("has no such blind spot" in page) == (dropout is Dropout.AFTER_REPEAT)
        assert ('data-blind="true"' in page) == (dropout is Dropout.AFTER_REPEAT)


def test_what_the_model_does_not_know_is_left_out(posterior_by_hand, make_customers):
    page = page_of(posterior_by_hand(fitted_to=make_customers(50))).text
    assert "value at risk" not in page
    assert "monetary_value" not in page
    page = page_of(posterior_by_hand()).text
    assert "holds no comparison of its segments" in page


def test_without_a_model_the_page_says_how_to_get_one(monkeypatch):
    monkeypatch.delenv("BAYES_CLV_MODEL", raising=False)
    answer = page_of(None)
    assert answer.status_code == 200
    assert "bayes-clv fit" in answer.text


def test_a_hundred_segments_make_a_page_that_can_be_read(posterior_by_hand):
    customers = pd.DataFrame({"frequency": range(100), "recency": 200.0, "T": 300.0})
    customers.loc[0, "recency"] = 0
    posterior = posterior_by_hand(many_segments(100), fitted_to=customers)
    page = page_of(posterior).text
    assert page.count("data-mean=") == 3 * 100
    assert len(re.findall(r'<td class="p\d+">', page)) == 2 * 12 * 11
    assert "88 further segments are left out here" in page
    assert len(page) < 200_000


@pytest.mark.parametrize("token", ["", TOKEN])
def test_the_page_holds_no_script_or_style_of_its_own_and_nothing_from_elsewhere(fitted, token):
    client = create_app(fitted, token=token).test_client()
    page = client.get("/", headers=BROWSER).text
    assert re.findall(r"<script[^>]*>[^<]", page) == []
    assert "style=" not in page
    assert re.findall(r' on\w+="', page) == []
    files = [link for link in re.findall(r'(?:src|href)="([^"#]+)', page) if "static" in link]
    assert len(files) > 3
    for link in files:
        assert client.get(link).status_code == 200, link
    assert re.findall(r'(?:src|href)="(?![/#])', page) == []


def test_scripts_import_only_what_is_here(fitted):
    client = create_app(fitted, token="").test_client()
    imported = set()
    for name in ("dashboard", "customer", "charts", "token"):
        script = client.get(f"/static/{name}.js")
        assert script.mimetype == "text/javascript"
        others = re.findall(r'from "\./(.*?)"', script.text)
        assert len(others) == len(re.findall(r"\bimport\b", script.text)), "each from beside it"
        for other in others:
            assert client.get(f"/static/{other}").status_code == 200
        imported.update(others)
        assert "innerHTML" not in script.text
        assert "http" not in script.text
    assert imported == {"charts.js", "customer.js", "token.js"}


def test_the_chart_library_is_the_one_that_was_published(fitted):
    client = create_app(fitted, token="").test_client()
    library = client.get("/static/vendor/chart.umd.min.js")
    assert hashlib.sha256(library.data).hexdigest() == CHART_JS
    assert "MIT" in client.get("/static/vendor/chart.LICENSE.md").text
    again = client.get(
        "/static/vendor/chart.umd.min.js", headers={"If-None-Match": library.headers["ETag"]}
    )
    assert again.status_code == 304
    assert again.headers["Cache-Control"] == library.headers["Cache-Control"] == "no-cache"


def test_where_a_token_is_required_the_page_asks_for_it_and_holds_no_data(fitted):
    client = create_app(fitted, token=TOKEN).test_client()
    asked = client.get("/", headers=BROWSER)
    assert asked.status_code == 200
    assert 'type="password"' in asked.text
    for name in (*fitted.segment_names, fitted.record.source, fitted.version):
        assert name not in asked.text
    wrong = client.get("/", headers=BROWSER | {"Authorization": f"Bearer {TOKEN}x"})
    assert wrong.status_code == 401
    right = client.get("/", headers=BROWSER | {"Authorization": f"Bearer {TOKEN}"})
    assert fitted.segment_names[0] in right.text
    assert client.get("/", headers={"Accept": "application/json"}).status_code == 401
