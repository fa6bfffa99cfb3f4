"""Requests of all kinds: from the OpenAPI document, at random, hostile, and merely many."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from api import create_app
from tests.api.test_fuzz import one_body
from tests.serving import ROOT, Server

HERE = Path(__file__).parent


@pytest.mark.long
def test_generated_requests_are_answered_as_documented(models, size, figures, tmp_path):
    examples = size(100, 1800)
    with Server(models[0]) as server:
        server.workers(2)
        program = Path(sys.executable).with_name("schemathesis")
        finished = subprocess.run(
            [
                *(program, "--config-file", HERE / "schemathesis.toml"),
                *("run", f"http://127.0.0.1:{server.port}/openapi.json", "--mode", "all"),
                *("--phases", "examples,coverage,fuzzing", "--max-examples", str(examples)),
                *("--seed", "20091201", "--suppress-health-check", "all"),
                *("--continue-on-failure", "--generation-database", "none", "--no-color"),
            ],
            cwd=tmp_path,
            env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.service.hooks", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        counted = server.request("GET", "/metrics")[2].decode()
    assert finished.returncode == 0, finished.stdout[-5000:]
    (generated,) = re.findall(r"([\d,]+) generated, .* passed", finished.stdout)
    total = int(generated.replace(",", ""))
    assert total >= size(400, 5000)
    assert 'status="500"' not in counted
    statuses = set(re.findall(r'requests_total{.*status="(\d+)"}', counted))
    assert {"200", "400", "405", "415", "422", "503"} <= statuses
    figures["schemathesis"] = f"{total:,} generated, 0 failures, no 500"


@pytest.fixture(scope="module")
def client(served):
    return create_app(served).test_client()


def one_batch(rng):
    """A batch that is valid, nearly valid, or noise."""
    kind = rng.randrange(10)
    if kind < 3:
        return one_body(rng)
    if kind == 3:
        return (rng.choice(["[", '{"customers":', '[{"a":']) * 10**5)[
            : rng.choice([20, 500, 10**5])
        ]
    customer = rng.choice(
        [
            {"frequency": 2, "recency": 30, "T": 60},
            {"frequency": 0, "recency": 0, "T": 60, "customer_id": "\ud800"},
            {"frequency": 2, "recency": 30, "T": 60, "segment": "population", "customer_id": 7},
        ]
    )
    text = json.dumps({"customers": [customer] * rng.choice([0, 1, 3]), "level": 0.5})
    for _ in range(rng.choice([0, 0, 1, 2])):
        at = rng.randrange(len(text) + 1)
        scrap = rng.choice(
            ["1e400", "NaN", "null", '"', "{", "]", "\0", "\\ud800", "9" * 5000, ","]
        )
        text = text[:at] + scrap + text[at + rng.randrange(4) :]
    codec = "utf-16" if rng.random() < 0.1 else "utf-8"
    return text.encode(codec, "surrogatepass")


def test_whatever_is_sent_the_answer_comes_in_the_envelope(client, size, figures):
    rng = random.Random(20101209)
    seen = {"/predict": {}, "/v1/predictions": {}}
    bodies = size(2_000, 20_000)
    for turn in range(bodies):
        path = ("/predict", "/v1/predictions")[turn % 2]
        body = (one_body if path == "/predict" else one_batch)(rng)
        body = body if isinstance(body, bytes) else body.encode()
        answer = client.post(
            path,
            data=body,
            content_type="application/json",
            environ_overrides={"CONTENT_LENGTH": str(len(body))},
        )
        status = answer.status_code
        seen[path][status] = seen[path].get(status, 0) + 1
        answer.get_data().decode("ascii")
        assert answer.json["code"] == status
        if status == 200:
            assert list(answer.json) == ["code", "status", "data"]
            continue
        assert list(answer.json) == ["code", "message", "reason"]
        assert answer.json["reason"].isprintable()
        assert len(answer.json["reason"]) < 2000
        if path == "/predict" and status == 503:
            assert len(answer.json["message"]["INVALID REQUEST"]) <= 1000
        else:
            assert isinstance(answer.json["message"], str)
    assert seen["/predict"].keys() == {200, 503}
    assert seen["/v1/predictions"].keys() == {200, 400, 422}
    assert min(count for counts in seen.values() for count in counts.values()) > bodies / 50
    statuses = "; ".join(
        f"{path} " + ", ".join(f"{status} × {counts[status]:,}" for status in sorted(counts))
        for path, counts in seen.items()
    )
    figures["fuzz"] = f"{bodies:,} bodies, all in the envelope ({statuses})"


@pytest.mark.long
def test_every_valid_customer_is_scored_and_a_single_answer_equals_its_row(client, size, figures):
    rng = np.random.default_rng(1502)
    n = size(2_000, 20_000)
    T = np.where(rng.random(n) < 0.1, rng.choice([0.0, 1.0, 1e6], n), 10 ** rng.uniform(-1, 6, n))
    frequency = np.floor(10 ** rng.uniform(-0.5, 6, n))
    frequency[rng.random(n) < 0.05] = 1e6
    recency = np.where(frequency == 0, 0.0, T * rng.choice([0, 1, 0.5, 0.999999], n))
    customers = pd.DataFrame({"frequency": frequency, "recency": recency, "T": T}).to_dict(
        "records"
    )
    apart = 0.0
    for first in range(0, n, 1000):
        some = customers[first : first + 1000]
        answer = client.post("/v1/predictions", json={"customers": some})
        assert answer.status_code == 200, answer.text
        for customer, row in zip(some, answer.json["data"]["predictions"], strict=True):
            single = client.post("/predict", json=customer).json["data"]
            alone = [single["prob_alive"], *(single["credible_interval"][e] for e in ENDS)]
            batched = [row["prob_alive"][part] for part in ("mean", *ENDS)]
            for one, other in zip(map(float, alone), batched, strict=True):
                if max(one, other) > 1e-290:  # where floats have all their digits
                    apart = max(apart, abs(one - other) / other)
            assert single["segment"] == row["segment"]
            for name in ("prob_alive", "prob_purchase"):
                assert 0 <= row[name]["lower"] <= row[name]["upper"] <= 1
                assert 0 <= row[name]["mean"] <= 1
            expected = row["expected_purchases"]
            assert np.isfinite(list(expected.values())).all()
            assert 0 <= expected["lower"] <= expected["upper"]
    assert apart <= 1e-12
    figures["customers"] = f"{n:,} finite and ordered; single and batch {apart:.0e} apart at most"


ENDS = ("lower", "upper")

# Everything is asked once before the hook is set, so that what Python imports late is in already.
AUDITED = """
import json, sys
from api import create_app
client = create_app(model=sys.argv[1]).test_client()
good = {"frequency": 30, "recency": 100, "T": 215}

def ask(text):
    yield client.post("/predict", data=text)
    for customers in (text, [text], [good | {"T": text}], [good | {"segment": text}], [{text: 1}]):
        yield client.post("/v1/predictions", json={"customers": customers})
    yield client.post("/v1/predictions", data=text, content_type="application/json")
    yield client.get("/v1/segments", query_string={"level": text})

list(ask("{'T': print}"))
client.post("/v1/predictions", json={"customers": [good]})
events, watching = [], True
def hook(event, arguments):
    if watching:
        events.append((event, str(arguments[-1])[:200]))
sys.addaudithook(hook)
eval("1")
control = [event for event, _ in events]
events.clear()
codes = [answer.status_code for text in json.loads(sys.argv[2]) for answer in ask(text)]
watching = False
print(json.dumps([control, sorted(set(map(tuple, events))), codes]))
"""


def test_code_in_a_request_is_never_executed(models, tmp_path, figures):
    code = f"__import__('os').system('touch {tmp_path}/owned')"
    texts = [
        "__import__('os').getpid()",
        code,
        f"{{'frequency': {code}, 'recency': 100, 'T': 215}}",
        f"{{'frequency': 30, 'recency': 100, 'T': (lambda: {code})()}}",
        f"{{'frequency': 30, 'recency': 100, 'T': f'{{{code}}}'}}",
        f"exec(\"import os; os.system('touch {tmp_path}/owned')\")",
        "().__class__.__base__.__subclasses__()",
        "{{ config }}",
        "{% include '/etc/passwd' %}",
    ]
    finished = subprocess.run(
        [sys.executable, "-c", AUDITED, str(models[0]), json.dumps(texts)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    control, events, codes = json.loads(finished.stdout)
    assert "exec" in control  # the hook sees an eval
    # ast.parse announces a "compile" of "<unknown>" too, and only builds a syntax tree.
    assert {event for event, _ in events} <= {"compile", "object.__getattr__"}
    assert {file for event, file in events if event == "compile"} == {"<unknown>"}
    assert set(codes) == {400, 422, 503}
    assert list(tmp_path.iterdir()) == []
    figures["exploits"] = f"{len(codes)} requests, 0 executed"
