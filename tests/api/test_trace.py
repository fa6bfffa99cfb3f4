"""Tokens, request ids, headers, logs and counts."""

import json
import logging
import re
import threading

import pytest

from api import create_app, logs, metrics
from bayes_clv.errors import InputError
from bayes_clv.posterior.posterior import Posterior

TOKEN = "a-token-that-is-long"
ONE = {"frequency": 30, "recency": 100, "T": 215}


@pytest.fixture
def guarded(posterior):
    return create_app(posterior, token=TOKEN).test_client()


@pytest.mark.parametrize(
    "header",
    [None, "", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"Bearer {TOKEN}x", "Bearer \xff"],
)
@pytest.mark.parametrize(
    "path", ["/predict", "/v1/predictions", "/v1/model", "/metrics", "/", "/x"]
)
def test_without_the_token_there_is_a_401_and_nothing_else(guarded, header, path):
    headers = {} if header is None else {"Authorization": header}
    answer = guarded.post(path, json=ONE, headers=headers)
    assert answer.status_code == answer.json["code"] == 401
    assert list(answer.json) == ["code", "message", "reason"]
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["X-Request-ID"]
    assert TOKEN not in answer.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_with_the_token_all_is_as_without_one(guarded, client, scheme):
    headers = {"Authorization": f"{scheme} {TOKEN}"}
    answer = guarded.post("/predict", json=ONE, headers=headers)
    assert answer.json == client.post("/predict", json=ONE).json
    assert guarded.get("/nothing", headers=headers).status_code == 404


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/docs", "/openapi.json"])
def test_probes_and_documentation_need_no_token(guarded, path):
    assert guarded.get(path).status_code == 200


def test_the_document_says_which_routes_need_the_token(guarded, client):
    paths = guarded.get("/openapi.json").json["paths"]
    needs = {path for path, methods in paths.items() for o in methods.values() if "security" in o}
    assert needs == paths.keys() - {"/health/live", "/health/ready"}
    assert "security" not in client.get("/openapi.json").text


def test_the_environment_gives_the_token_and_a_bad_one_is_refused(posterior, monkeypatch):
    monkeypatch.setenv("BAYES_CLV_TOKEN", TOKEN)
    assert create_app(posterior).test_client().post("/predict", json=ONE).status_code == 401
    for bad in ("short", "with a space in it it is", "ü" * 20, "line\nline\nline\nline"):
        monkeypatch.setenv("BAYES_CLV_TOKEN", bad)
        with pytest.raises(InputError, match="at least 16 printable ASCII") as refused:
            create_app(posterior)
        assert bad not in str(refused.value)
    monkeypatch.setenv("BAYES_CLV_TOKEN", "")
    assert create_app(posterior).test_client().post("/predict", json=ONE).status_code == 200


@pytest.mark.parametrize("given", ["a", "A.b_c:d-1", "0" * 128])
def test_a_sane_request_id_comes_back(client, given):
    answer = client.get("/health/live", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", [None, "", "two words", "0" * 129, "<script>", "é", "a,b"])
def test_any_other_request_gets_an_id_of_its_own(client, given):
    headers = {} if given is None else {"X-Request-ID": given}
    ids = {client.get("/nothing", headers=headers).headers["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3
    assert all(re.fullmatch("[0-9a-f]{24}", each) for each in ids)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("POST", "/predict"), ("GET", "/x"), ("GET", "/v1/segments")]
)
def test_every_answer_names_the_model_and_has_the_headers_that_browsers_obey(
    client, model, method, path
):
    answer = client.open(path, method=method)
    version = client.get("/health/ready").json["data"]["version"]
    assert answer.headers["X-Model-Version"] == version
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/docs", "/static/style.css", "/metrics"])
def test_what_a_browser_shows_has_a_strict_policy(client, path):
    headers = client.get(path).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"


def test_without_a_model_no_version_is_claimed(monkeypatch):
    monkeypatch.delenv("BAYES_CLV_MODEL", raising=False)
    answer = create_app().test_client().get("/health/live")
    assert "X-Model-Version" not in answer.headers


# Logs


@pytest.fixture
def lines():
    """What the service logs in its own form, line by line."""
    written = []

    class Keep(logging.Handler):
        def emit(self, record):
            written.append(logs.JsonLines().format(record))

    logger, handler = logging.getLogger("api"), Keep()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_request_is_one_line_of_json_that_tells_what_an_operator_needs(client, lines):
    client.post("/v1/predictions", json={"customers": [ONE] * 3}, headers={"X-Request-ID": "r-1"})
    (line,) = map(json.loads, lines)
    assert line["request_id"] == "r-1"
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/predictions", 200)
    assert line["customers"] == 3
    assert line["milliseconds"] > 0
    assert line["level"] == "info"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    assert line["model_version"] == client.get("/health/ready").json["data"]["version"]


def test_no_log_holds_what_a_client_sent(client, lines, monkeypatch):
    secret = "s3cr3t"
    client.post("/predict", data=f"{{'frequency': '{secret}'}}")
    client.post("/predict", json={"frequency": 7654321, "recency": 1, "T": 2, "x": secret})
    client.post("/v1/predictions", json={"customers": [ONE | {"customer_id": secret}]})
    client.post("/v1/predictions", json={"customers": [{secret: 3}]})
    client.get(f"/{secret}?{secret}", headers={"X-Request-ID": f"<{secret}>"})
    client.open("/predict", method=secret.upper())

    def fail(*_, **given):
        raise RuntimeError(f"{secret} {given}")

    monkeypatch.setattr(Posterior, "answer", fail)
    assert client.post("/predict", json=ONE | {"frequency": 7654321}).status_code == 500
    assert len(lines) == 8
    assert secret not in "".join(lines).lower()
    assert "7654321" not in "".join(lines)
    failure = json.loads(lines[-2])
    assert failure["error"] == "RuntimeError"
    assert any(re.fullmatch(r"predict\.py:\d+ predict", place) for place in failure["stack"])


# Counts


def figures(client):
    text = client.get("/metrics").text
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_requests_and_customers_are_counted_by_route_and_status(posterior):
    client = create_app(posterior).test_client()
    for _ in range(3):
        client.post("/predict", json=ONE)
    client.post("/predict", json={})
    client.post("/v1/predictions", json={"customers": [ONE] * 5})
    client.get("/nothing")
    client.get("/elsewhere")
    counts = figures(client)
    for labels, count in {
        'route="/predict",status="200"': "3.0",
        'route="/predict",status="503"': "1.0",
        'route="/v1/predictions",status="200"': "1.0",
        'route="none",status="404"': "2.0",
    }.items():
        assert counts[f"bayes_clv_requests_total{{{labels}}}"] == count
    assert counts["bayes_clv_customers_total"] == "5.0"
    assert counts['bayes_clv_request_seconds_count{route="/predict"}'] == "4.0"
    assert counts['bayes_clv_request_seconds_bucket{le="+Inf",route="/predict"}'] == "4.0"
    assert 0 < float(counts['bayes_clv_request_seconds_sum{route="/predict"}']) < 4
    assert counts["bayes_clv_ready"] == "1.0"


def test_what_every_process_and_thread_counts_adds_up():
    counts = metrics.Counts(["/a", "/b"])
    for row in (1, 2, 2):
        counts.use_row(row)
        threads = [
            threading.Thread(target=lambda: [counts.observe("/b", 200, 0.003) for _ in range(1000)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    families = {family.name: family for family in counts.families()}
    (requests,) = families["bayes_clv_requests"].samples
    assert requests.labels == {"route": "/b", "status": "200"}
    assert requests.value == 12_000
    buckets = {
        sample.labels["le"]: sample.value
        for sample in families["bayes_clv_request_seconds"].samples
        if sample.name.endswith("_bucket") and sample.labels["route"] == "/b"
    }
    assert (buckets["0.0025"], buckets["0.005"], buckets["+Inf"]) == (0, 12_000, 12_000)


def test_a_new_worker_gets_a_row_of_its_own_while_there_are_any():
    assert metrics.free_row([]) == 1
    assert metrics.free_row([1, 2, 4]) == 3
    assert metrics.free_row(range(1, metrics.ROWS)) == metrics.ROWS - 1


def test_statuses_that_are_not_expected_are_counted_together():
    counts = metrics.Counts(["/a"])
    counts.observe("/a", 418, 0.0)
    counts.observe("/a", 451, 20.0)
    (requests,) = next(iter(counts.families())).samples
    assert (requests.labels["status"], requests.value) == ("other", 2)
