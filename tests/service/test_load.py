"""Throughput, slow clients, killed workers and swapped models, each against a server of its own.

The load comes from another process. Times are compared with a route that does nothing, on the same
server in the same run; what is printed in docs/service.md is absolute.
"""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from api import create_app
from tests.posterior.soft_models import RFM, made
from tests.serving import CUSTOMER, ROOT, Server

pytestmark = pytest.mark.alone

HEAD = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(CUSTOMER)}\r\n"
PREDICT = f"{HEAD}\r\n{CUSTOMER.decode()}"
HELLO = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
A_THOUSAND = [{"frequency": n, "recency": n / 2, "T": n} for n in range(1, 1001)]


class Load:
    """A process that loads a server; its result once it has ended."""

    def __init__(self, server, *requests, **settings):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.service.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        asked = {"port": server.port, "requests": requests} | settings
        self.process.stdin.write(json.dumps(asked))
        self.process.stdin.close()

    def result(self):
        answer = self.process.stdout.read()
        assert self.process.wait() == 0
        self.process.stdout.close()
        return json.loads(answer)


def load(*arguments, **settings):
    return Load(*arguments, **settings).result()


def all_answered(result, least):
    """Nothing failed, and there was work."""
    assert result["statuses"] == {"200": result["answered"]}, result
    assert result["lost"] == result["mistagged"] == 0, result
    assert result["answered"] >= least, result


@pytest.fixture(scope="module", autouse=True)
def compiled(models):
    """What the first answers compile is kept on disk before anything is measured."""
    client = create_app(models[0]).test_client()
    assert client.post("/predict", data=CUSTOMER).status_code == 200
    assert client.post("/v1/predictions", json={"customers": A_THOUSAND}).status_code == 200


@pytest.fixture(scope="module")
def server(models):
    with Server(models[0]) as server:
        server.workers(2)
        yield server


@pytest.fixture(scope="module")
def soft_server(posterior_by_hand, tmp_path_factory):
    """Of a model as ``fit`` makes them: soft RFM segments, whose answers are mixtures."""
    file = tmp_path_factory.mktemp("soft") / "soft.clv"
    made(posterior_by_hand, RFM, again=True, draws=1000).save(file)
    with Server(file) as server:
        server.workers(2)
        yield server


@pytest.mark.long
@pytest.mark.parametrize("of", ["hard", "soft"])
def test_a_prediction_costs_little_more_than_a_route_that_does_nothing(of, request, size, figures):
    server = request.getfixturevalue({"hard": "server", "soft": "soft_server"}[of])
    rounds = size(3, 8)
    hello, predict = [], []
    for _ in range(rounds):  # in turn, so that whatever else runs here slows both
        hello.append(load(server, HELLO, seconds=2))
        predict.append(load(server, PREDICT, seconds=2))
    for result in (*hello, *predict):
        all_answered(result, least=100)
    ratio = np.median([p["rate"] / h["rate"] for p, h in zip(predict, hello, strict=True)])
    tail, usual = (np.median([each["p99_ms"] for each in some]) for some in (predict, hello))
    rate = np.median([each["rate"] for each in predict])
    if of == "hard":
        figures["throughput"] = (
            f"{ratio:.2f} × hello, {rate:,.0f}/s, p99 {tail:.0f} ms ({usual:.0f})"
        )
    assert tail < 3 * usual
    if of == "soft" and ratio < 0.6:  # all else must hold
        pytest.xfail(f"{ratio:.2f} x hello, should be 0.6: each further segment costs 17 µs")
    assert ratio >= 0.6


@pytest.mark.slow
def test_two_hundred_connections_are_all_answered(server, size, figures):
    result = load(server, PREDICT, connections=200, seconds=size(4, 10))
    all_answered(result, least=1000)
    figures["connections"] = (
        f"0 errors in {result['answered']:,}, {result['rate']:,.0f}/s, "
        f"p99 {result['p99_ms']:.0f} ms"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "sent"),
    [("slow headers", HEAD), ("slow bodies", f"{HEAD}\r\n{CUSTOMER[:9].decode()}")],
)
def test_slow_clients_hold_nobody_up(server, figures, kind, sent):
    server.ask()
    stop = threading.Event()

    def trickle():
        """Clients that send on, a byte now and then, and come back when they are hung up on."""
        clients = {}
        for number in itertools.cycle(range(100)):
            if stop.is_set():
                break
            try:
                if number not in clients:
                    clients[number] = server.connect(sent.encode())
                    opened.add(number)
                else:
                    clients[number].send(b"X" if kind == "slow headers" else b" ")
            except OSError:
                clients.pop(number).close()
            time.sleep(0.002)
        for client in clients.values():
            client.close()

    opened = set()
    thread = threading.Thread(target=trickle)
    thread.start()
    while len(opened) < 100:
        time.sleep(0.05)
    seconds = []
    for _ in range(20):
        began = time.monotonic()
        assert server.ask()[0] == 200
        seconds.append(time.monotonic() - began)
        time.sleep(0.05)
    stop.set()
    thread.join()
    figures[kind] = f"20 of 20, the slowest {1e3 * max(seconds):.0f} ms"
    assert max(seconds) < 1


@pytest.mark.long
def test_a_client_that_retries_once_loses_nothing_when_workers_are_killed(models, size, figures):
    kills = size(4, 20)
    with Server(models[0]) as server:
        server.workers(2)
        running = Load(server, PREDICT, seconds=1.4 * kills + 1, retries=1)
        respawned = []
        for kill in range(kills):
            time.sleep(1.4)
            alive = [pid for pid in server.workers(2 + kill) if os.path.exists(f"/proc/{pid}")]
            began = time.monotonic()
            os.kill(random.Random(kill).choice(alive), signal.SIGKILL)
            server.workers(3 + kill)
            respawned.append(time.monotonic() - began)
        result = running.result()
        counted = server.request("GET", "/metrics")[2].decode()
    all_answered(result, least=1000)
    assert result["retried"] > 0, "no request was hit"
    assert max(respawned) < 2
    # What killed workers have counted is not lost. A request may be counted and its answer lost.
    line = 'bayes_clv_requests_total{route="/predict",status="200"} '
    total = float(counted.partition(line)[2].split()[0])
    assert result["answered"] <= total <= result["answered"] + result["retried"]
    figures["kill"] = (
        f"{kills} kills, {result['answered']:,} answered, {result['retried']} retried, 0 lost; "
        f"respawn {max(respawned):.2f} s at most"
    )


def answers_by_version(paths):
    """What a model's answer must hold, by its version."""
    from api import create_app

    expected = {}
    for path in paths:
        answer = create_app(path).test_client().post("/predict", data=CUSTOMER)
        probability = answer.json["data"]["prob_alive"]
        expected[answer.headers["X-Model-Version"]] = f'"prob_alive":"{probability}"'
    assert len(set(expected.values())) == len(paths)
    return expected


@pytest.mark.long
def test_hang_ups_under_load_lose_nothing(models, size, figures):
    times = size(3, 10)
    with Server(models[0]) as server:
        server.workers(2)
        running = Load(
            server, PREDICT, seconds=4 * times, expected=answers_by_version(models), connections=16
        )
        for number in range(times):
            time.sleep(0.5)
            server.process.send_signal(signal.SIGHUP)
            server.workers(4 + 2 * number)
        result = running.result()
    all_answered(result, least=1000)
    figures["hang up"] = f"{times} hang-ups, {result['answered']:,} answered, 0 failed, 0 mistagged"


@pytest.mark.long
def test_models_swapped_under_load_answer_for_themselves(models, tmp_path, size, figures):
    times = size(4, 50)
    path = tmp_path / "model.clv"
    expected = answers_by_version(models)
    first, second = expected
    shutil.copy(models[0], path)
    with Server(path) as server:
        server.workers(2)
        running = Load(
            server, PREDICT, seconds=5 * times, expected=expected, connections=16, retries=0
        )
        for number in range(times):
            replace(path, models[(number + 1) % 2])
            server.find('"message": "a newer model takes over"', number + 1)
        result = running.result()
        assert server.get("/health/ready")["data"]["version"] == list(expected)[times % 2]
        metrics = server.request("GET", "/metrics")[2].decode()
    all_answered(result, least=1000)
    assert min(result["versions"][first], result["versions"][second]) > 100
    assert set(result["versions"]) == {first, second}
    assert f"bayes_clv_model_swaps_total {times}.0" in metrics
    figures["swap"] = f"{times} swaps, {result['answered']:,} answered, 0 failed, 0 mistagged"


def replace(path, other):
    """Put another file in a file's place at once."""
    beside = path.with_suffix(".new")
    shutil.copy(other, beside)
    beside.replace(path)


def test_a_bad_file_changes_nothing_and_is_told_of(models, tmp_path):
    path = tmp_path / "model.clv"
    shutil.copy(models[0], path)
    with Server(path) as server:
        ready = server.get("/health/ready")["data"]
        assert ready["newer_file_refused"] is False
        path.write_bytes(models[1].read_bytes()[:1000])
        server.find("the newer model is refused, the previous one stays in use: .* is refused: ")
        assert server.get("/health/ready")["data"] == ready | {"newer_file_refused": True}
        assert "bayes_clv_newer_file_refused 1.0" in server.request("GET", "/metrics")[2].decode()
        path.unlink()
        server.find("there is no such file")
        assert server.ask()[0] == 200
        shutil.copy(models[1], path)
        server.find("a newer model takes over")
        server.workers(3)
        deadline = time.monotonic() + 20
        while server.get("/health/ready")["data"]["version"] == ready["version"]:
            assert time.monotonic() < deadline
        assert server.get("/health/ready")["data"]["newer_file_refused"] is False


@pytest.mark.long
def test_batches_leave_room_for_others(models, size):
    """A thousand customers take a worker a second; others are answered meanwhile."""
    body = json.dumps({"customers": A_THOUSAND}).encode()
    with Server(models[0], workers=1) as server:
        answers = []

        def batch():
            headers = {"Content-Type": "application/json"}
            began = time.monotonic()
            status = server.request("POST", "/v1/predictions", body, headers)[0]
            answers.append((status, time.monotonic() - began))

        thread = threading.Thread(target=batch)
        thread.start()
        time.sleep(0.2)
        seconds = []
        while thread.is_alive():
            began = time.monotonic()
            assert server.ask()[0] == 200
            seconds.append(time.monotonic() - began)
        thread.join()
    ((status, duration),) = answers
    assert status == 200
    assert len(seconds) > 3
    assert max(seconds) < duration / 2


@pytest.mark.long
def test_memory_stays_flat_under_mixed_requests(models, size, figures):
    per_round = size(2_000, 10_000)
    batch = json.dumps({"customers": [json.loads(CUSTOMER)] * 3})
    mixed = [PREDICT] * 6
    for method, path, body in (
        ("POST", "/predict", "{'frequency':30, 'recency':100, 'wrong_variable':215}"),
        ("POST", "/predict", "[" * 1000),
        ("POST", "/v1/predictions", batch),
        ("POST", "/v1/predictions", '{"customers": [{"frequency": -1}]}'),
        ("GET", "/v1/segments", ""),
        ("GET", "/v1/model", ""),
        ("GET", "/metrics", ""),
        ("GET", "/nothing", ""),
        ("GET", "/docs", ""),
    ):
        mixed.append(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
    requests = (mixed * (per_round // len(mixed) + 1))[:per_round]
    with Server(models[0]) as server:
        workers = server.workers(2)
        load(server, *requests, until_done=True)  # until caches are warm
        before = sum(map(memory, workers))
        rounds, statuses = 6, {}
        for _ in range(rounds):
            result = load(server, *requests, until_done=True)
            assert result["lost"] == 0
            for status, count in result["statuses"].items():
                statuses[status] = statuses.get(status, 0) + count
        grown = (sum(map(memory, workers)) - before) / 1e6
        assert server.workers(2) == workers, "nobody was replaced"
    total = rounds * per_round
    assert sum(statuses.values()) == total
    assert {"200", "503", "422", "404"} == set(statuses)
    per_ten_thousand = grown / total * 10_000
    figures["soak"] = f"{total:,} requests, {per_ten_thousand:+.2f} MB per 10,000, both workers"
    assert per_ten_thousand < size(5, 1)


def memory(pid):
    """Bytes that a process holds, shared or not."""
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Rss"))
