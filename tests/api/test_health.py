import pytest

from api import create_app
from bayes_clv.errors import ArtifactError
from bayes_clv.posterior.posterior import load_posterior


@pytest.fixture
def modelless(monkeypatch):
    monkeypatch.delenv("BAYES_CLV_MODEL", raising=False)
    return create_app().test_client()


def test_a_service_with_a_model_is_live_and_ready(client, model):
    assert client.get("/health/live").json["code"] == 200
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json["data"] == {
        "version": load_posterior(model).version,
        "dropout": "after_repeat",
        "data_end": "1998-06-30",
        "sound": True,
        "newer_file_refused": False,
    }


def test_an_unsound_model_serves_and_says_so(make_posterior):
    unsound = make_posterior(complaints=("R-hat is 1.2000, it must be below 1.01",))
    client = create_app(model=unsound).test_client()
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json["data"]["sound"] is False


def test_a_service_without_a_model_is_live_but_not_ready(modelless):
    assert modelless.get("/health/live").status_code == 200
    customer = {"frequency": 30, "recency": 100, "T": 215}
    for answer in (modelless.get("/health/ready"), modelless.post("/predict", json=customer)):
        assert answer.status_code == 503
        assert answer.json == {
            "code": 503,
            "message": "Service Unavailable",
            "reason": "no model is ready",
        }


def test_the_environment_names_the_model_where_the_caller_does_not(model, monkeypatch):
    monkeypatch.setenv("BAYES_CLV_MODEL", str(model))
    assert create_app().test_client().get("/health/ready").status_code == 200


def test_an_app_is_not_made_from_a_file_that_is_refused(model, tmp_path):
    damaged = tmp_path / "damaged.clv"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"damaged\.clv is refused"):
        create_app(model=damaged)
    with pytest.raises(ArtifactError, match="no such file"):
        create_app(model=tmp_path / "absent.clv")


def test_the_front_page_lists_the_routes_and_the_models_facts(client, modelless):
    data = client.get("/").json["data"]
    assert set(data["routes"]) == {
        "GET /",
        "GET /docs",
        "GET /health/live",
        "GET /health/ready",
        "GET /metrics",
        "GET /openapi.json",
        "GET /v1/model",
        "GET /v1/segments",
        "POST /predict",
        "POST /v1/predictions",
    }
    assert data["model"]["data_end"] == "1998-06-30"
    assert data["model"]["segments"] == ["regulars", "passers-by · été"]
    assert (data["model"]["model"], data["model"]["dropout"]) == ("BG/NBD", "after_repeat")
    assert modelless.get("/").json["data"]["model"] is None


@pytest.mark.parametrize(
    ("method", "path", "code", "allowed"),
    [
        ("GET", "/predict", 405, {"POST", "OPTIONS"}),
        ("DELETE", "/health/live", 405, {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/", 405, {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/nothing", 404, set()),
        ("POST", "/predict/", 404, set()),
        ("GET", "/health/../etc/passwd%0A" + "x" * 2000, 404, set()),
    ],
)
def test_what_is_no_route_gets_the_envelope_too(client, method, path, code, allowed):
    answer = client.open(path, method=method)
    assert answer.status_code == code
    assert list(answer.json) == ["code", "message", "reason"]
    assert answer.json["code"] == code
    assert set(answer.allow) == allowed
    assert len(answer.json["reason"]) < 200
    assert "\n" not in answer.json["reason"]
