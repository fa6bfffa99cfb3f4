import io
import json

import numpy as np
import pandas as pd
import pytest

from api import create_app
from api.answers import Predictions, Success
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.segments.rules import ColumnRule

URL = "/v1/predictions"
ONE = {"frequency": 30, "recency": 100, "T": 215}
LIMIT = 512 * 1024
DAYS = "a number of days from 0 to 1,000,000,000"


def ask(client, customers, **others):
    return client.post(URL, json={"customers": customers} | others)


def refused(answer, status):
    """The reason of a refusal in the envelope."""
    assert answer.status_code == status, answer.text
    assert list(answer.json) == ["code", "message", "reason"]
    assert answer.json["code"] == status
    assert answer.json["reason"].isprintable()
    return answer.json["reason"]


@pytest.mark.parametrize("dropout", Dropout)
def test_every_answer_is_the_posteriors_own_in_the_order_of_the_customers(posterior, dropout):
    posterior = Posterior(
        posterior.tree, posterior.rule, dropout, posterior.record, posterior.diagnostics
    )
    rng = np.random.default_rng(7)
    frequency = rng.integers(0, 12, 300)
    T = rng.uniform(0, 700, 300).round(1)
    recency = np.where(frequency, (T * rng.random(300)).round(1), 0)
    frame = pd.DataFrame({"frequency": frequency, "recency": recency, "T": T})
    customers = json.loads(frame.to_json(orient="records"))
    answer = ask(create_app(posterior).test_client(), customers, horizon_days=30, level=0.5)
    data = answer.json["data"]
    assert data["horizon_days"] == 30
    assert data["level"] == 0.5
    assert data["model"]["dropout"] == dropout.value
    for name, expected in {
        "prob_alive": posterior.probability_alive(frame, level=0.5),
        "prob_purchase": posterior.probability_of_purchase(frame, 30, level=0.5),
        "expected_purchases": posterior.expected_purchases(frame, 30, level=0.5),
    }.items():
        for part in ("mean", "lower", "upper"):
            given = [customer[name][part] for customer in data["predictions"]]
            np.testing.assert_allclose(given, expected[part], rtol=1e-12, atol=1e-300)
        assert [c["segment"] for c in data["predictions"]] == expected["segment"].tolist()


def test_the_answer_has_the_documented_shape_and_no_other(client, posterior):
    answer = ask(client, [ONE, ONE | {"customer_id": "A-1", "segment": "population"}])
    parsed = Success[Predictions].model_validate(answer.json).data
    assert [p.customer_id for p in parsed.predictions] == [None, "A-1"]
    assert parsed.predictions[1].segment == "population"
    assert parsed.horizon_days == 90
    assert parsed.level == 0.9
    assert parsed.model.version == answer.headers["X-Model-Version"]
    assert parsed.model.data_end == "1998-06-30"
    assert list(answer.json) == ["code", "status", "data"]


@pytest.fixture(scope="module")
def spender(posterior_by_hand):
    """A client of a model that knows of spend, and the model."""
    posterior = posterior_by_hand(spend=True)
    return create_app(posterior).test_client(), posterior


def test_value_is_answered_on_the_terms_that_are_asked_for(spender):
    client, posterior = spender
    customers = [
        ONE | {"monetary_value": 20.5},
        ONE | {"monetary_value": 0},  # known: everything was refunded
        {"frequency": 0, "recency": 0, "T": 60},
    ]
    terms = {"horizon_days": 180, "annual_discount_rate": 0.05, "margin": 0.3}
    data = ask(client, customers, level=0.8, value=terms).json["data"]
    assert data["value_terms"] == terms
    frame = pd.DataFrame(customers)
    spend = posterior.expected_spend(frame, level=0.8)
    value = posterior.customer_lifetime_value(
        frame, 180, annual_discount_rate=0.05, margin=0.3, level=0.8
    )
    for row, of_spend, of_value in zip(
        data["predictions"], spend.itertuples(), value.itertuples(), strict=True
    ):
        for name, expected in (("expected_spend", of_spend), ("expected_value", of_value)):
            for figure in ("mean", "lower", "upper"):
                assert row[name][figure] == pytest.approx(getattr(expected, figure), rel=1e-12)


def test_value_is_left_out_unless_it_is_asked_for_and_known(spender, client):
    row = ask(spender[0], [ONE]).json["data"]["predictions"][0]
    assert row["expected_value"] is None
    assert row["expected_spend"]["mean"] > 0
    data = ask(client, [ONE], value={}).json["data"]  # of a model without spend
    assert data["value_terms"] is None
    assert data["predictions"][0]["expected_spend"] is None
    assert data["predictions"][0]["expected_value"] is None


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"margin": 0}, "value.margin must be a number above 0, at most 100"),
        ({"horizon_days": "90"}, "value.horizon_days must be a number of days above 0, at most"),
        ({"annual_discount_rate": -1}, "value.annual_discount_rate must be a number from 0 to 100"),
        ({"rate": 1}, "value.rate is not a field"),
        (90, "value must be an object"),
    ],
)
def test_terms_that_cannot_be_are_a_422(spender, terms, reason):
    assert reason in refused(ask(spender[0], [ONE], value=terms), 422)


def test_a_row_of_a_batch_equals_the_single_answer(client):
    customers = [
        {"frequency": x, "recency": t_x, "T": T}
        for x, t_x, T in ((30, 100, 215), (0, 0, 70), (2, 31.5, 60), (1e6, 1e6, 1e6), (3, 0, 0))
    ]
    rows = ask(client, customers).json["data"]["predictions"]
    for customer, row in zip(customers, rows, strict=True):
        single = client.post("/predict", json=customer).json["data"]
        (alone,) = ask(client, [customer]).json["data"]["predictions"]
        assert float(single["prob_alive"]) == pytest.approx(row["prob_alive"]["mean"], rel=1e-12)
        for end in ("lower", "upper"):
            expected = pytest.approx(row["prob_alive"][end], rel=1e-12)
            assert float(single["credible_interval"][end]) == expected
        assert alone["segment"] == single["segment"] == row["segment"]
        for name in ("prob_alive", "prob_purchase", "expected_purchases"):
            assert alone[name] == pytest.approx(row[name], rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("identifier", ["A-1", "", "été · 夏 \U0001f600", 0, -5, 2**53 - 1, None])
def test_a_customers_own_id_comes_back_as_it_was_sent(client, identifier):
    (row,) = ask(client, [ONE | {"customer_id": identifier}]).json["data"]["predictions"]
    assert row["customer_id"] == identifier
    assert type(row["customer_id"]) is type(identifier)


def test_a_whole_number_is_one_however_it_is_written(client):
    body = '{"customers": [{"customer_id": 12504.0, "frequency": 3e1, "recency": 1E2, "T": 215}]}'
    answer = client.post(URL, data=body, content_type="application/json")
    (row,) = answer.json["data"]["predictions"]
    assert '"customer_id":12504,' in answer.text
    assert row["prob_alive"] == ask(client, [ONE]).json["data"]["predictions"][0]["prob_alive"]


def test_the_users_own_segments_are_taken_by_name(posterior):
    theirs = Posterior(
        posterior.tree,
        ColumnRule(names=("north", "south")),
        Dropout.AFTER_REPEAT,
        posterior.record,
        posterior.diagnostics,
    )
    client = create_app(theirs).test_client()
    rows = ask(client, [ONE, ONE | {"segment": "south"}]).json["data"]["predictions"]
    assert [row["segment"] for row in rows] == ["population", "south"]
    reason = refused(ask(client, [ONE | {"segment": "east"}]), 422)
    assert reason == "customers[0].segment must be one of north, south, population, not 'east'"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ('"frequency": 30.5', "frequency must be a whole number from 0 to 1,000,000,000, not 30.5"),
        ('"frequency": -1', "frequency must be a whole number from 0 to 1,000,000,000, not -1"),
        ('"frequency": true', "frequency must be a whole number from 0 to 1,000,000,000, not True"),
        ('"frequency": "30"', "frequency must be a whole number from 0 to 1,000,000,000, not '30'"),
        ('"frequency": 0', "recency must be 0 where frequency is 0, not 100"),
        ('"recency": -0.5', f"recency must be {DAYS}, at most T, not -0.5"),
        ('"recency": 216', "T must be at least recency (216.0), not 215"),
        ('"T": 1e400', f"T must be {DAYS}, not inf"),
        ('"T": -1e400', f"T must be {DAYS}, not -inf"),
        (f'"T": {10**399}', f"T must be {DAYS}, not 10000"),
        (f'"T": {"9" * 5000}', f"T must be {DAYS}, not inf"),
        ('"T": null', f"T must be {DAYS}, not None"),
        ('"T": [215]', f"T must be {DAYS}, not [215]"),
        ('"monetary_value": "9.5"', "monetary_value must be a number from 0 to"),
        ('"segment": "gone"', "segment must be one of regulars, passers-by · été, population, not"),
        ('"customer_id": true', "customer_id must be text of at most 100 characters, or a whole"),
        ('"customer_id": 1.5', "customer_id must be text of at most 100 characters, or a whole"),
        (f'"customer_id": {2**53}', "customer_id must be text of at most 100 characters, or a"),
        (f'"customer_id": "{"x" * 101}"', "customer_id must be text of at most 100 characters"),
        ('"customer_id": "\\ud800"', "customer_id must be text of at most 100 characters"),
        ('"level": 0.9', "level is not a field"),
        ('"two words\\n": 3', "'two words\\n' is not a field"),
    ],
)
def test_a_field_that_is_wrong_is_a_422_that_names_it_the_rule_and_the_value(
    client, change, reason
):
    good = '"frequency": 30, "recency": 100, "T": 215'
    fields = {name: f'"{name}": {value}' for name, value in ONE.items()}
    changed = ", ".join((fields | {change.split('"')[1]: change}).values())
    body = f'{{"customers": [{{{good}}}, {{{changed}}}]}}'
    answer = client.post(URL, data=body, content_type="application/json")
    assert refused(answer, 422).startswith(f"customers[1].{reason}")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "customers is missing"),
        ([], "the body must be an object, not []"),
        (3, "the body must be an object, not 3"),
        ("text", "the body must be an object, not 'text'"),
        ({"customers": []}, "customers must be a list of 1 to 1,000 customers, not []"),
        ({"customers": ONE}, "customers must be a list of 1 to 1,000 customers, not {"),
        ({"customers": [3]}, "customers[0] must be an object, not 3"),
        ({"customers": [ONE], "horizon_days": 0}, "horizon_days must be a number of days above 0,"),
        ({"customers": [ONE], "horizon_days": "90"}, "horizon_days must be a number of days above"),
        ({"customers": [ONE], "level": 1}, "level must be a number above 0 and below 1, not 1"),
        ({"customers": [ONE], "horizon": 3}, "horizon is not a field"),
        (
            {"customers": [ONE | {"T": -1}, {}], "level": 2},
            "customers[0].T must be a number of days from 0 to 1,000,000,000, not -1; "
            "customers[1].frequency is missing; customers[1].recency is missing; "
            "customers[1].T is missing; level must be a number above 0 and below 1, not 2",
        ),
    ],
)
def test_a_body_of_another_shape_is_a_422(client, body, reason):
    assert refused(client.post(URL, json=body), 422).startswith(reason)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b"hello", "the body is not JSON (Expecting value: line 1 column 1"),
        (b"{'customers': []}", "the body is not JSON"),
        (b'{"customers": [}', "the body is not JSON"),
        (b'{"customers": []} []', "the body is not JSON (Extra data"),
        (b'{"customers": [], "customers": []}', "customers is given twice"),
        (b'{"customers": [{"T": 1, "T": 2}]}', "T is given twice"),
        (b'{"level": NaN}', "NaN is not a number in JSON"),
        (b'{"level": -Infinity}', "-Infinity is not a number in JSON"),
        (b'{"level": "\xff"}', "the body is not UTF-8"),
        (json.dumps({"customers": [ONE]}).encode("utf-16"), "the body is not UTF-8"),
        (b"[" * 17, "the body is nested deeper than 16 levels"),
        (b"[" * 100_000, "the body is nested deeper than 16 levels"),
        (b'{"a":' * 50_000, "the body is nested deeper than 16 levels"),
        (b'["' + b"[" * 100_000 + b'"', "the body is not JSON"),
        (b'["\\"' + b"[" * 17 + b'"', "the body is not JSON"),
        (b'"' + b"[" * 17, "the body is not JSON (Unterminated string"),
    ],
)
def test_what_is_not_json_is_a_400(client, body, reason):
    length = {"CONTENT_LENGTH": str(len(body))}  # the test client gives none where it is 0
    answer = client.post(URL, data=body, content_type="application/json", environ_overrides=length)
    assert refused(answer, 400).startswith(reason)


def test_brackets_within_text_do_not_nest(client):
    (row,) = ask(client, [ONE | {"customer_id": '\\"[' * 30}]).json["data"]["predictions"]
    assert row["customer_id"] == '\\"[' * 30


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "x", None])
def test_another_type_is_a_415(client, kind):
    answer = client.post(URL, data=json.dumps({"customers": [ONE]}), content_type=kind)
    assert "Content-Type: application/json" in refused(answer, 415)


def test_a_compressed_body_is_a_415(client):
    answer = client.post(URL, json={"customers": [ONE]}, headers={"Content-Encoding": "gzip"})
    assert "Content-Encoding" in refused(answer, 415)


def test_a_thousand_customers_are_scored_and_one_more_is_a_413(client):
    rows = ask(client, [ONE] * 1000).json["data"]["predictions"]
    assert len(rows) == 1000
    assert rows[0] == rows[-1]
    reason = refused(ask(client, [ONE] * 1001), 413)
    assert reason == "customers may hold at most 1,000, not 1,001"


def test_a_body_at_the_limit_is_read_and_one_beyond_it_is_a_413(client):
    body = json.dumps({"customers": [ONE]})
    kind = {"content_type": "application/json"}
    assert client.post(URL, data=body.ljust(LIMIT), **kind).status_code == 200
    reason = refused(client.post(URL, data=body.ljust(LIMIT + 1), **kind), 413)
    assert reason == f"a body may hold at most {LIMIT:,} bytes, not {LIMIT + 1:,}"


def test_a_body_without_a_length_is_a_411(client):
    chunks = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
    body = json.dumps({"customers": [ONE]}).encode()
    answer = client.post(URL, input_stream=io.BytesIO(body), headers=chunks)
    assert "Content-Length" in refused(answer, 411)


def test_other_methods_are_a_405_that_says_which_is_right(client):
    answer = client.get(URL)
    refused(answer, 405)
    assert set(answer.allow) == {"POST", "OPTIONS"}


def test_without_a_model_it_is_a_503(monkeypatch):
    monkeypatch.delenv("BAYES_CLV_MODEL", raising=False)
    client = create_app().test_client()
    for answer in (ask(client, [ONE]), client.get("/v1/model"), client.get("/v1/segments")):
        assert refused(answer, 503) == "no model is ready"
