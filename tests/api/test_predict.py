import io
import json
import logging
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from api import create_app
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.segments.rules import ColumnRule

EXAMPLE = {"frequency": 30, "recency": 100, "T": 215}
AS_PYTHON = "{'frequency':30, 'recency':100, 'T':215}"
LIMIT = 16 * 1024


def refused(answer, sent):
    """The reason of a 503 that echoes what was sent."""
    assert answer.status_code == 503
    assert list(answer.json) == ["code", "message", "reason"]
    assert answer.json["code"] == 503
    assert answer.json["message"] == {"INVALID REQUEST": sent}
    return answer.json["reason"]


def probability_alive(draws, frequency, recency, T):
    """Fader, Hardie & Lee (2008), evaluated draw by draw in plain Python."""
    for r, alpha, a, b in draws:
        odds = a / (b + frequency - 1) * ((alpha + T) / (alpha + recency)) ** (r + frequency)
        yield 1 / (1 + odds) if frequency else 1.0


def probability_of_purchase(draws, frequency, recency, T, days):
    """The same, times the chance that a customer who is alive buys within so many days."""
    alive = probability_alive(draws, frequency, recency, T)
    for (r, alpha, _, _), still in zip(draws, alive, strict=True):
        yield still * (1 - math.exp(-(r + frequency) * math.log1p(days / (alpha + T))))


def assert_summary_of(draws, mean, interval):
    """The strings are the mean and the 80 % tails of the draws."""
    assert float(mean) == pytest.approx(np.mean(draws), rel=1e-9)
    assert float(interval["lower"]) == pytest.approx(np.quantile(draws, 0.1), rel=1e-9)
    assert float(interval["upper"]) == pytest.approx(np.quantile(draws, 0.9), rel=1e-9)


@pytest.mark.parametrize(
    ("customer", "segment"), [((30, 100, 215), 0), ((2, 30, 60), 1), ((0, 0, 70), 1)]
)
def test_the_answer_is_the_mean_and_the_tails_of_the_published_formulas(
    client, posterior, customer, segment
):
    tree = posterior.tree["posterior"]
    columns = (tree[name].to_numpy()[..., segment].ravel() for name in ("r", "alpha", "a", "b"))
    draws = list(zip(*columns, strict=True))

    sent = dict(zip(("frequency", "recency", "T"), customer, strict=True)) | {"level": 0.8}
    data = client.post("/predict", json=sent).json["data"]
    interval, purchase = data["credible_interval"], data["prob_purchase"]
    assert_summary_of(list(probability_alive(draws, *customer)), data["prob_alive"], interval)
    bought = list(probability_of_purchase(draws, *customer, 90))
    assert_summary_of(bought, purchase["mean"], purchase)
    assert interval["level"] == "0.8"
    assert purchase["horizon_days"] == "90"
    assert data["segment"] == posterior.segment_names[segment]
    assert data["dropout"] == "after_repeat"


def test_under_mbg_nbd_the_answer_says_so_and_a_one_time_buyer_may_have_left(client, posterior):
    one_time = {"frequency": 0, "recency": 0, "T": 70}
    modified = create_app(replace(posterior, dropout=Dropout.AFTER_ANY)).test_client()
    before, after = (c.post("/predict", json=one_time).json["data"] for c in (client, modified))
    assert (before["dropout"], after["dropout"]) == ("after_repeat", "after_any")
    assert before["prob_alive"] == "1.0"
    assert 0 < float(after["prob_alive"]) < 1
    assert 0 < float(after["prob_purchase"]["mean"]) < float(before["prob_purchase"]["mean"]) < 1


def test_the_single_answer_equals_the_rows_of_the_batches(client, posterior):
    rng = np.random.default_rng(90)
    for _ in range(50):
        T = int(rng.integers(0, 700))
        frequency = int(rng.integers(0, 9)) if T else 0
        recency = int(rng.integers(0, T + 1)) if frequency else 0
        customer = {"frequency": frequency, "recency": recency, "T": T}
        data = client.post("/predict", json=customer).json["data"]
        frame = pd.DataFrame([customer])
        alive = {"mean": data["prob_alive"], **data["credible_interval"]}
        for said, batch in (
            (alive, posterior.probability_alive(frame)),
            (data["prob_purchase"], posterior.probability_of_purchase(frame, 90)),
        ):
            for name in ("mean", "lower", "upper"):
                assert float(said[name]) == pytest.approx(batch[name].iloc[0], rel=1e-12, abs=0)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(EXAMPLE).encode(),
        json.dumps(AS_PYTHON).encode(),
        AS_PYTHON.encode(),
        json.dumps(json.dumps(EXAMPLE)).encode(),
        b"\xef\xbb\xbf \r\n" + AS_PYTHON.encode() + b"\n",
        b'{"frequency": 30.0, "recency": 1e2, "T": 215, "segment": null}',
        b"{'T': 2_15, 'recency': 100.0, 'frequency': 0x1e,}",
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "image/png", None])
def test_every_wire_form_gets_the_same_answer_whatever_its_type(
    client, posterior, body, content_type
):
    answer = client.post("/predict", data=body, content_type=content_type)
    expected = posterior.answer(30, 100, 215)
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.text.startswith('{"code":200,"status":"success","data":{"prob_alive":"0.0000')
    data = answer.json["data"]
    assert list(data)[:3] == ["prob_alive", "credible_interval", "segment"], "as they always were"
    assert list(data)[3:] == ["prob_purchase", "dropout"]
    assert list(data["credible_interval"]) == ["level", "lower", "upper"]
    assert list(data["prob_purchase"]) == ["horizon_days", "mean", "lower", "upper"]
    assert float(data["prob_alive"]) == expected.alive.mean
    assert float(data["prob_purchase"]["mean"]) == expected.purchase.mean


def test_probabilities_are_decimals_that_read_back_exactly_and_have_no_exponent(client, posterior):
    customer = {"frequency": 40, "recency": 1, "T": 3000}
    expected = posterior.answer(**customer)
    data = client.post("/predict", json=customer).json["data"]
    for interval, estimate in (
        (data["credible_interval"], expected.alive),
        (data["prob_purchase"], expected.purchase),
    ):
        assert 0 < estimate.lower < 1e-30
        assert interval["lower"].startswith("0.000000")
        assert float(interval["lower"]) == estimate.lower
        assert "e" not in interval["lower"] + interval["upper"]


def test_a_customer_may_name_a_segment_or_the_population_itself(client, posterior):
    answers = {}
    for segment in (*posterior.segment_names, "population"):
        data = client.post("/predict", json=EXAMPLE | {"segment": segment}).json["data"]
        assert data["segment"] == segment
        answers[segment] = data["prob_alive"]
    assert len(set(answers.values())) == 3


def test_the_users_own_segments_serve_too_and_a_customer_without_one_is_the_populations(posterior):
    theirs = Posterior(
        posterior.tree,
        ColumnRule(names=("north", "south")),
        Dropout.AFTER_ANY,
        posterior.record,
        posterior.diagnostics,
    )
    client = create_app(model=theirs).test_client()
    assert client.post("/predict", json=EXAMPLE).json["data"]["segment"] == "population"
    answer = client.post("/predict", json=EXAMPLE | {"segment": "south"})
    assert answer.json["data"]["segment"] == "south"
    answer = client.post("/predict", json=EXAMPLE | {"segment": "east"})
    assert answer.json["reason"] == "segment must be one of north, south, population, not 'east'"


@pytest.mark.parametrize(
    ("sent", "name"), [(1, "1"), (1.0, "1"), ("1.0", "1"), ("1", "1"), ("01", "01"), (True, "true")]
)
def test_a_segment_may_be_sent_as_the_number_that_its_name_is(posterior_by_hand, sent, name):
    theirs = posterior_by_hand(ColumnRule(names=("1", "01", "true")))
    client = create_app(model=theirs).test_client()
    answer = client.post("/predict", json=EXAMPLE | {"segment": sent})
    assert answer.json["data"]["segment"] == name
    batch = {"customers": [EXAMPLE | {"segment": sent}, EXAMPLE]}
    rows = client.post("/v1/predictions", json=batch).json["data"]["predictions"]
    assert [row["segment"] for row in rows] == [name, "population"]
    answer = client.post("/predict", json=EXAMPLE | {"segment": 2})
    assert answer.json["reason"].endswith("the name of a segment of the model, not 2")


def test_the_seeds_wrong_variable_gets_the_seeds_envelope_and_a_reason(client):
    sent = "{'frequency':30, 'recency':100, 'wrong_variable':215}"
    expected = "T is missing; wrong_variable is not a field"
    assert refused(client.post("/predict", data=json.dumps(sent)), sent) == expected
    assert refused(client.post("/predict", data=sent), sent) == expected
    as_json = sent.replace("'", '"')
    assert refused(client.post("/predict", data=as_json), as_json) == expected


DAYS = "a number of days from 0 to 1,000,000,000"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ('"frequency": 30.5', "frequency must be a whole number from 0 to 1,000,000,000, not 30.5"),
        ('"frequency": 1000000.0004', "frequency must be a whole number"),
        ('"frequency": -1', "frequency must be a whole number from 0 to 1,000,000,000, not -1"),
        ('"frequency": true', "frequency must be a whole number from 0 to 1,000,000,000, not True"),
        ('"frequency": "30"', "frequency must be a whole number from 0 to 1,000,000,000, not '30'"),
        ('"frequency": 1e10', "frequency must be a whole number"),
        ('"frequency": 0', "recency must be 0 where frequency is 0, not 100"),
        ('"recency": -0.5', f"recency must be {DAYS}, at most T, not -0.5"),
        ('"recency": 216', "T must be at least recency (216.0), not 215"),
        ('"recency": false', f"recency must be {DAYS}, at most T, not False"),
        ('"T": 1e400', f"T must be {DAYS}, not inf"),
        ('"T": -1e400', f"T must be {DAYS}, not -inf"),
        (f'"T": {10**400}', f"T must be {DAYS}, not 10000"),
        ('"T": null', f"T must be {DAYS}, not None"),
        ('"T": [215]', f"T must be {DAYS}, not [215]"),
        ('"T": {"days": 215}', f"T must be {DAYS}, not {{'days': 215}}"),
        ('"monetary_value": -1', "monetary_value must be a number from 0 to"),
        ('"monetary_value": "9.5"', "monetary_value must be a number from 0 to"),
        ('"segment": "gone"', "segment must be one of regulars, passers-by · été, population, not"),
        ('"segment": 3', "segment must be the name of a segment of the model, not 3"),
        (
            '"segment": "\\ud800"',
            "segment must be one of regulars, passers-by · été, population, not",
        ),
        ('"level": 0', "level must be a number above 0 and below 1, not 0"),
        ('"level": 1', "level must be a number above 0 and below 1, not 1"),
        ('"level": null', "level must be a number above 0 and below 1, not None"),
        ('"t": 3', "t is not a field"),
        ('"two words\\n": 3', "'two words\\n' is not a field"),
        ('"\\udfff": 3', "'\\\\udfff' is not a field"),
        ('"T": NaN', "NaN is not a number in JSON"),
        ('"T": -Infinity', "-Infinity is not a number in JSON"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_the_rule_and_the_value(client, change, reason):
    fields = {name: f'"{name}": {value}' for name, value in EXAMPLE.items()}
    sent = "{" + ", ".join((fields | {change.split('"')[1]: change}).values()) + "}"
    assert refused(client.post("/predict", data=sent), sent[:1000]).startswith(reason)


def test_all_that_is_wrong_is_said_at_once_in_one_line(client):
    sent = '{"frequency": -1, "T": "9", "level": 2, "segment": "a\\nb", "month": 3, "x\\ny": 4}'
    reason = refused(client.post("/predict", data=sent), sent)
    words = [fault.split()[0] for fault in reason.split("; ")]
    assert words == ["frequency", "recency", "T", "segment", "level", "month", "'x\\ny'"]
    assert "\n" not in reason


def test_a_thousand_unknown_fields_are_counted_not_listed(client):
    sent = json.dumps({f"k{i}": i for i in range(1000)})
    reason = refused(client.post("/predict", data=sent), sent[:1000])
    assert reason.startswith("frequency is missing; recency is missing; T is missing; k0 is not a")
    assert reason.endswith("; and 991 more")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("", "the body is empty"),
        (" \n", "the body is empty"),
        ("[1, 2]", "the body must be an object, not [1, 2]"),
        ("215", "the body must be an object, not 215"),
        ("null", "the body must be an object, not None"),
        (
            "hello",
            "the body is neither a JSON object (Expecting value: line 1 column 1 (char",
        ),
        ('{"T": 215', "the body is neither a JSON object (Expecting ',' delimiter"),
        ("{'T': 215", "the body is neither a JSON object"),
        ("{'T': 215\0}", "the body is neither a JSON object"),
        ("{**{'T': 215}}", "the name of a field must be quoted text"),
        ("{T: 215}", "the name of a field must be quoted text"),
        ("{b'T': 215}", "the name of a field must be quoted text"),
        ("{f'T': 215}", "the name of a field must be quoted text"),
        ("{'T': 10**400}", "T must be a plain number or quoted text, not an expression"),
        ("{'T': [215]}", "T must be a plain number or quoted text, not an expression"),
        ("{'T': nan}", "T must be a plain number or quoted text, not an expression"),
        ("{'T': --215}", "T must be a plain number or quoted text, not an expression"),
        ("{'T' 'T': 1, 'TT': 1}", "TT is given twice"),
        ("{'T': 1, 'T': 2}", "T is given twice"),
        ('{"T": 1, "T": 2}', "T is given twice"),
        ('{"T": {"a": 1, "a": 2}}', "a is given twice"),
        ("{'T': 0x" + "f" * 5000 + "}", "frequency is missing; recency is missing; T must be"),
        ("{'T': " + "1" * 5000 + "}", "the body is neither a JSON object"),
        ('{"T": ' + "1" * 5000 + "}", "the body is neither a JSON object nor a dict"),
        ("[" * LIMIT, "the body is neither a JSON object"),
        ('{"T":' * 3000, "the body is neither a JSON object"),
        ("{'T': " + "-" * 16000 + "1}", "the body is neither a JSON object"),
        ("{'T': " + "not " * 4000 + "1}", "T must be a plain number or quoted text"),
        ("{'T': '\\d', 'wrong': 1}", "frequency is missing; recency is missing; T must be"),
    ],
)
def test_a_body_that_is_no_flat_object_is_refused_in_both_wire_forms(client, sent, reason):
    length = {"CONTENT_LENGTH": str(len(sent))}  # the test client gives none where it is 0
    answer = client.post("/predict", data=sent.encode(), environ_overrides=length)
    assert refused(answer, sent[:1000]).startswith(reason)
    wrapped = json.dumps(sent)
    if len(wrapped) <= LIMIT:
        assert refused(client.post("/predict", data=wrapped), sent[:1000]).startswith(reason)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe{\x00}\x00",
        AS_PYTHON.encode("utf-16"),
        AS_PYTHON.encode() + b" # \x80",
        b'"\\ud800"',
    ],
)
def test_what_is_not_utf_8_is_refused_and_echoed_without_the_broken_bytes(client, body):
    answer = client.post("/predict", data=body)
    assert answer.json["reason"] == "the body is not UTF-8"
    assert "?" in answer.json["message"]["INVALID REQUEST"]


def test_a_string_in_a_string_is_not_unwrapped_a_second_time(client):
    inner = json.dumps(AS_PYTHON)
    reason = refused(client.post("/predict", data=json.dumps(inner)), inner)
    assert reason.startswith("the body must be an object, not \"{'frequency'")


def test_the_echo_ends_after_a_thousand_characters(client):
    sent = "é" * 5000
    assert refused(client.post("/predict", data=sent.encode()), "é" * 1000)


def test_a_body_at_the_limit_is_read_and_one_beyond_it_is_a_413(client):
    body = AS_PYTHON.encode()
    assert client.post("/predict", data=body.ljust(LIMIT)).status_code == 200
    answer = client.post("/predict", data=body.ljust(LIMIT + 1))
    assert answer.status_code == 413
    assert answer.json == {
        "code": 413,
        "message": "Request Entity Too Large",
        "reason": "a body may hold at most 16,384 bytes, not 16,385",
    }


def test_a_body_without_a_length_is_a_411(client):
    chunks = {"Transfer-Encoding": "chunked"}
    answer = client.post("/predict", input_stream=io.BytesIO(AS_PYTHON.encode()), headers=chunks)
    assert answer.status_code == 411
    assert answer.json["message"] == "Length Required"
    assert "Content-Length" in answer.json["reason"]


def test_a_failure_of_ours_is_a_500_that_says_nothing_and_a_log_that_says_all(
    client, monkeypatch, caplog
):
    def fail(*_, **__):
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr(Posterior, "answer", fail)
    with caplog.at_level(logging.ERROR):
        answer = client.post("/predict", json=EXAMPLE)
    assert answer.status_code == 500
    assert list(answer.json) == ["code", "message", "reason"]
    assert answer.json["message"] == "Internal Server Error"
    assert "swordfish" not in answer.text
    assert "swordfish" in caplog.text
    assert "POST /predict failed" in caplog.text


def test_a_body_that_breaks_off_is_a_400(client):
    body = AS_PYTHON.encode()
    announced = {"CONTENT_LENGTH": str(len(body) + 1)}
    answer = client.post("/predict", data=body, environ_overrides=announced)
    assert answer.status_code == answer.json["code"] == 400
    assert answer.json["reason"].startswith("the connection was lost")
