"""Engines that are real: a Spark cluster with a master and two workers, and a PostgreSQL server.

Both live on this machine's loopback for as long as the tests do. Where Java or PostgreSQL is
missing, the tests that need it are skipped, and say so.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import ibis
import pytest
from ibis.backends import BaseBackend

from bayes_clv.data.engines import connect

# Small, and compiled little: these jobs are over before thorough compilation would pay.
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
SMALL = urlencode(
    {
        "spark.executor.memory": "512m",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.driver.extraJavaOptions": JAVA,
        "spark.executor.extraJavaOptions": JAVA,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        # A worker that was killed does not come back.
        "spark.shuffle.io.maxRetries": "1",
        "spark.shuffle.io.retryWait": "1s",
    }
)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Cluster:
    """A master and two workers with a core each, every one a process group of its own."""

    def __init__(self, home: Path) -> None:
        import pyspark

        if shutil.which("java") is None:
            pytest.skip("there is no Java here: Spark needs Java 17")
        self._spark = Path(pyspark.__file__).parent
        self._home = home
        self._processes: list[subprocess.Popen[bytes]] = []
        self.port = free_port()
        warehouse = urlencode({"spark.sql.warehouse.dir": str(home / "warehouse")})
        self.url = f"spark://127.0.0.1:{self.port}?{SMALL}&{warehouse}"
        self._start("master.Master", "--port", str(self.port))
        self._wait("I have been elected leader", 1)
        self.workers = [self.add_worker(), self.add_worker()]
        self._wait("Registering worker", 2)

    def add_worker(self) -> "subprocess.Popen[bytes]":
        master = f"spark://127.0.0.1:{self.port}"
        folder = str(self._home / f"work-{len(self._processes)}")
        return self._start("worker.Worker", master, "-c", "1", "-m", "600m", "-d", folder)

    def _start(self, role: str, *arguments: str) -> "subprocess.Popen[bytes]":
        log = (self._home / f"{role}.log").open("ab")
        process = subprocess.Popen(
            [
                self._spark / "bin" / "spark-class",
                f"org.apache.spark.deploy.{role}",
                *("--host", "127.0.0.1", "--webui-port", "0"),
                *arguments,
            ],
            stdout=log,
            stderr=log,
            env=os.environ
            | {
                "SPARK_HOME": str(self._spark),
                "SPARK_LOCAL_IP": "127.0.0.1",
                "SPARK_DAEMON_JAVA_OPTS": JAVA,
            },
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def _wait(self, words: str, count: int) -> None:
        log = self._home / "master.Master.log"
        deadline = time.monotonic() + 60
        while len(re.findall(words, log.read_text())) < count:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        """Kill a worker and its executor, without a word to anybody."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                self.kill(process)


@contextmanager
def cluster_in(home: Path) -> Iterator[Cluster]:
    started = Cluster(home)
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_in(tmp_path_factory.mktemp("spark")) as started:
        yield started


@pytest.fixture(scope="module")
def spark(cluster: Cluster) -> Iterator[BaseBackend]:
    connection = connect(cluster.url)
    yield connection
    connection._session.stop()


@pytest.fixture(scope="module")
def connect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of Spark Connect."""
    import pyspark

    if shutil.which("java") is None:
        pytest.skip("there is no Java here: Spark needs Java 17")
    home, port = tmp_path_factory.mktemp("connect"), free_port()
    settings = dict(parse_qsl(SMALL)) | {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
    }
    log = home / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [
                Path(pyspark.__file__).parent / "bin" / "spark-submit",
                *("--master", "local[1]"),
                *(part for item in settings.items() for part in ("--conf", "=".join(item))),
                *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
                "spark-internal",
            ],
            cwd=home,
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while "Spark Connect server started" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the tests' own, on a free port, without a password."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.skip("there is no PostgreSQL here: install postgresql")
    binaries = found[-1].parent
    folder = tmp_path_factory.mktemp("postgres")
    everybody = Path(tempfile.gettempdir()).resolve()
    for parent in (folder, *folder.parents):
        if everybody in parent.parents:
            parent.chmod(0o755)
    user: list[str] = []
    if os.getuid() == 0:  # as whom it refuses to run
        user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    data, port = folder / "data", free_port()
    initial = ["-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run(
        [*user, binaries / "initdb", "-D", data, *initial], check=True, capture_output=True
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {folder}"
    control = [*user, binaries / "pg_ctl", "-D", data, "-w"]
    log = folder / "log"
    subprocess.run(
        [*control, "-o", options, "-l", log, "start"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)


@pytest.fixture(scope="module")
def postgres(postgres_url: str) -> BaseBackend:
    return connect(postgres_url)


@pytest.fixture(scope="module")
def duckdb() -> BaseBackend:
    return ibis.duckdb.connect()


@pytest.fixture(scope="module", params=[pytest.param("spark", marks=pytest.mark.long), "postgres"])
def engine(request: pytest.FixtureRequest) -> BaseBackend:
    found: BaseBackend = request.getfixturevalue(request.param)
    return found
