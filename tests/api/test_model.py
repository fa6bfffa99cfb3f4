"""What the service tells about its model: facts, segments, documentation."""

import dataclasses
import json
import re
import shlex
import urllib.parse

import numpy as np
import pytest

from api import create_app
from api.answers import Comparison, Model, Success
from api.openapi import OPERATIONS


@pytest.fixture(scope="module")
def fitted(posterior_by_hand, make_customers):
    return posterior_by_hand(fitted_to=make_customers(300))


@pytest.fixture(scope="module")
def client(fitted):
    return create_app(fitted).test_client()


def test_the_models_facts_are_those_of_its_record(client, fitted):
    data = client.get("/v1/model").json["data"]
    Model.model_validate(data)
    assert data["version"] == fitted.version
    assert data["segments"] == list(fitted.segment_names)
    assert data["diagnostics"] == fitted.diagnostics.to_dict()
    assert data["record"] == json.loads(json.dumps(fitted.record.to_dict()))


def test_figures_that_json_does_not_know_are_null(fitted):
    broken = dataclasses.replace(
        fitted.diagnostics, r_hat=float("nan"), ess_bulk=float("inf"), complaints=("R-hat is nan",)
    )
    client = create_app(dataclasses.replace(fitted, diagnostics=broken)).test_client()
    found = client.get("/v1/model").json["data"]["diagnostics"]
    assert (found["r_hat"], found["ess_bulk"], found["sound"]) == (None, None, False)


def test_a_remark_is_served(fitted):
    remarked = dataclasses.replace(fitted.diagnostics, divergences=1, remarks=("1 diverged",))
    client = create_app(dataclasses.replace(fitted, diagnostics=remarked)).test_client()
    found = client.get("/v1/model").json["data"]["diagnostics"]
    assert (found["remarks"], found["complaints"], found["sound"]) == (["1 diverged"], [], True)


def test_the_comparison_is_the_posteriors_own(client, fitted):
    answer = client.get("/v1/segments?level=0.5")
    Success[Comparison].model_validate(answer.json)
    data = answer.json["data"]
    table = fitted.compare_segments(level=0.5).table
    assert [row["segment"] for row in data["segments"]] == list(table.index)
    for name in table.columns:
        np.testing.assert_array_equal([row[name] for row in data["segments"]], table[name])
    less = fitted.compare_segments().buys_less
    assert data["buys_less"] == less.to_dict(orient="index")
    assert data["level"] == 0.5
    assert data["horizon_days"] == 90
    assert client.get("/v1/segments").json["data"]["level"] == 0.9


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("level=1", "level must be a number above 0 and below 1, not '1'"),
        ("level=nan", "level must be a number above 0 and below 1, not 'nan'"),
        ("level=x", "level must be a number above 0 and below 1, not 'x'"),
        ("level=", "level must be a number above 0 and below 1, not ''"),
        ("level=0.5&level=0.6", "level must be a number above 0 and below 1, not ['0.5', '0.6']"),
        ("horizon=3", "horizon is not a field"),
    ],
)
def test_a_query_that_is_wrong_is_a_422(client, query, reason):
    answer = client.get(f"/v1/segments?{query}")
    assert answer.status_code == answer.json["code"] == 422
    assert answer.json["reason"] == reason


def test_a_model_without_a_comparison_is_a_404(posterior_by_hand):
    answer = create_app(posterior_by_hand()).test_client().get("/v1/segments")
    assert answer.status_code == 404
    assert answer.json["reason"] == "this model holds no comparison of its segments"


def test_every_route_is_documented_with_its_method(client):
    rules = client.application.url_map.iter_rules()
    routes = {
        (method.lower(), rule.rule)
        for rule in rules
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    about_itself = {("get", path) for path in ("/", "/docs", "/openapi.json")}
    documented = {(operation.method, operation.path) for operation in OPERATIONS}
    assert documented == routes - about_itself - {("get", "/static/<path:filename>")}


def test_the_document_names_the_segments_of_the_model_and_every_reference_resolves(client, fitted):
    document = client.get("/openapi.json").json
    schemas = document["components"]["schemas"]
    for name in ("Customer", "BatchCustomer"):
        names = [*fitted.segment_names, "population", None]
        assert schemas[name]["properties"]["segment"]["enum"] == names
    text = json.dumps(document)
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert references <= schemas.keys()
    assert len(references) > 10


def test_the_document_needs_no_model(monkeypatch):
    monkeypatch.delenv("BAYES_CLV_MODEL", raising=False)
    client = create_app().test_client()
    assert "/v1/predictions" in client.get("/openapi.json").json["paths"]
    assert client.get("/docs").status_code == 200


def visible(html):
    return (
        re.sub(r"<[^>]+>", "", html)
        .replace("&#34;", '"')
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&amp;", "&")
    )


def sent_by(command):
    """Path, headers and body of a curl command."""
    program, *words = shlex.split(command.replace("\\\n", " "))
    assert program == "curl"
    headers, body = {}, None
    while len(words) > 1:
        option, value, *words = words
        if option == "-H":
            name, _, text = value.partition(": ")
            headers[name] = text
        else:
            assert option == "-d"
            body = value
    return urllib.parse.urlsplit(words[0]).path, headers, body


@pytest.mark.parametrize("token", [None, "a-token-that-is-long"])
def test_every_command_of_the_documentation_page_works_as_it_stands(fitted, token, monkeypatch):
    client = create_app(fitted, token=token or "").test_client()
    page = client.get("/docs")
    assert page.mimetype == "text/html"
    commands = [visible(text) for text in re.findall(r"<pre>(.*?)</pre>", page.text, re.DOTALL)]
    assert len(commands) == len(OPERATIONS)
    for command in commands:
        path, headers, body = sent_by(command.replace("$BAYES_CLV_TOKEN", token or ""))
        answer = client.open(path, method="POST" if body else "GET", data=body, headers=headers)
        assert answer.status_code == 200, command
    batch = json.loads(sent_by(commands[0])[2])
    assert list(batch["customers"][0]) == ["customer_id", "frequency", "recency", "T"]


def test_the_page_needs_no_script_and_nothing_from_elsewhere(client):
    page = client.get("/docs").text
    assert "<script" not in page
    assert "style=" not in page
    assert re.findall(r' on\w+="', page) == []
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(link.startswith(("/", "#")) for link in links)
    for link in {link for link in links if link.startswith("/")}:
        assert client.get(link).status_code == 200, link
    anchors = {link[1:] for link in links if link.startswith("#")}
    assert anchors == {"main", *re.findall(r'<section id="([^"]+)"', page)}
    assert "default-src 'none'" in client.get("/docs").headers["Content-Security-Policy"]
