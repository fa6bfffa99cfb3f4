import ast
import json
import random
import re

import numpy as np
import pandas as pd

DECIMAL = re.compile(r"\d+\.\d+")
SEGMENTS = ("regulars", "passers-by · été", "population")
VALUES = [
    *("30", "100", "215", "0", "-0.0", "30.0", "30.5", "1e3", "1e400", "-1e400", "NaN", "Infinity"),
    *("true", "false", "null", "None", "True", '"30"', "'30'", "[1]", "{}", "1_0", "0x1f", "1j"),
    *('"\\ud800"', '"\\u0000"', "1e308", str(10**400), "9" * 5000, "0." + "9" * 400, "b'1'"),
    *(
        "__import__('os').getpid()",
        "(1)",
        "1 if 1 else 2",
        "f'{1}'",
        "...",
        "'" * 3 + "1" + "'" * 3,
    ),
    *('"regulars"', "'population'", "0.5", "1.5"),
]
NAMES = ["frequency", "recency", "T", "monetary_value", "segment", "level", "t", "\\ud800", "é", ""]
SCRAPS = ['"', "'", "{", "}", "[", "]", ":", ",", "\\", "\0", "\n", "#", "é", "\ud800", "0", "e9"]


def one_object(rng):
    quote = rng.choice("\"'")
    names = ["frequency", "recency", "T"] if rng.random() < 0.8 else []
    names += rng.choices(NAMES, k=rng.randrange(3))
    usual = {"frequency": "30", "recency": "100", "T": "215", "level": "0.5", "segment": "None"}
    values = [usual.get(name, "1") if rng.random() < 0.8 else rng.choice(VALUES) for name in names]
    pairs = [f"{quote}{name}{quote}: {value}" for name, value in zip(names, values, strict=True)]
    return "{" + ", ".join(pairs) + "}"


def one_body(rng):
    """A body that is valid, nearly valid, or noise."""
    kind = rng.randrange(8)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    if kind == 1:
        scrap = rng.choice(['{"a":', "[", "{'a':", "(", "-", "'", "not ", "a.", "[{", "1<"])
        return (scrap * 100_000)[: rng.choice([500, 1000, 16_384])].encode()
    text = one_object(rng)
    for _ in range(rng.choice([0, 0, 1, 3])):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice([*SCRAPS, ""]) + text[at + rng.randrange(3) :]
    if kind in (2, 3):
        text = json.dumps(text, ensure_ascii=rng.random() < 0.5)
    codec = "utf-16" if kind == 4 and rng.random() < 0.3 else "utf-8"
    body = bytearray(text.encode(codec, "surrogatepass"))
    if kind == 5 and body:
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
    return bytes(body)


def fits(body):
    """Whether a body ought to be answered, by other means than the service's."""
    value = body.decode("utf-8-sig")
    for _ in range(2):
        try:
            value = json.loads(value)
        except ValueError:
            value = ast.literal_eval(value.strip())
        if isinstance(value, dict):
            break
    x, recency, T, spend = (
        value.pop(name, 0) for name in ("frequency", "recency", "T", "monetary_value")
    )
    level, segment = value.pop("level", 0.9), value.pop("segment", None)
    numbers = (x, recency, T, level, 0 if spend is None else spend)
    return (
        not value
        and all(type(number) in (int, float) and 0 <= number <= 1e15 for number in numbers)
        and x == int(x)
        and recency <= T <= 1e9
        and (x > 0 or recency == 0)
        and 0 < level < 1
        and (segment is None or segment in SEGMENTS)
    )


def check_success(answer):
    assert list(answer) == ["code", "status", "data"]
    data = answer["data"]
    interval, purchase = data["credible_interval"], data["prob_purchase"]
    assert DECIMAL.fullmatch(interval["level"])
    for mean, bounds in ((data["prob_alive"], interval), (purchase["mean"], purchase)):
        decimals = (bounds["lower"], mean, bounds["upper"])
        assert all(DECIMAL.fullmatch(decimal) for decimal in decimals)
        low, middle, high = map(float, decimals)
        assert 0 <= low <= high <= 1
        assert 0 <= middle <= 1
    assert float(purchase["mean"]) <= float(data["prob_alive"])
    assert answer["data"]["segment"] in SEGMENTS


def check_refusal(answer):
    assert list(answer) == ["code", "message", "reason"]
    assert list(answer["message"]) == ["INVALID REQUEST"]
    assert len(answer["message"]["INVALID REQUEST"]) <= 1000
    assert 0 < len(answer["reason"]) < 2000
    assert answer["reason"].isprintable()


def test_whatever_is_sent_the_answer_comes_in_the_envelope(client):
    rng = random.Random(20091201)
    seen = {200: 0, 503: 0}
    for _ in range(3000):
        body = one_body(rng)
        length = {"CONTENT_LENGTH": str(len(body))}  # the test client gives none where it is 0
        answer = client.post("/predict", data=body, environ_overrides=length)
        code = answer.status_code
        seen[code] += 1
        answer.get_data().decode("ascii")
        assert answer.json["code"] == code
        if code == 200:
            assert fits(body)
            check_success(answer.json)
        else:
            check_refusal(answer.json)
    assert min(seen.values()) > 100, seen


def test_every_valid_customer_gets_finite_numbers_that_equal_the_batch(client, posterior):
    rng = np.random.default_rng(1502)
    n = 2500
    T = np.where(rng.random(n) < 0.1, rng.choice([0.0, 1.0, 1e6], n), 10 ** rng.uniform(-1, 6, n))
    frequency = np.floor(10 ** rng.uniform(-0.5, 6, n))
    frequency[rng.random(n) < 0.05] = 1e6
    recency = np.where(frequency == 0, 0.0, T * rng.choice([0, 1, 0.5, 0.999999], n))
    customers = pd.DataFrame({"frequency": frequency, "recency": recency, "T": T})
    alive = posterior.probability_alive(customers)
    purchase = posterior.probability_of_purchase(customers, 90)

    answered = np.empty((n, 6))
    for i, customer in enumerate(customers.to_dict("records")):
        answer = client.post("/predict", json=customer)
        assert answer.status_code == 200, answer.text
        check_success(answer.json)
        data = answer.json["data"]
        interval, buys = data["credible_interval"], data["prob_purchase"]
        answered[i, :3] = data["prob_alive"], interval["lower"], interval["upper"]
        answered[i, 3:] = buys["mean"], buys["lower"], buys["upper"]
        assert data["segment"] == alive["segment"].iloc[i]
    expected = np.hstack([batch[["mean", "lower", "upper"]] for batch in (alive, purchase)])
    np.testing.assert_allclose(answered, expected, rtol=1e-12, atol=1e-300)
    assert 0.05 < answered[:, 0].mean() < 0.95
    assert 0.02 < answered[:, 3].mean() < answered[:, 0].mean()
