"""The engines that may hold a log: connecting to one, and uploading a table of scores.

All work on customers is done in Ibis expressions, so any engine that Ibis supports can be used:
DuckDB, PostgreSQL, Spark (in this process, as a cluster, by Spark Connect) and others. This module
holds everything that differs between engines.
"""

import os
import re
import shutil
import socket
import sys
import uuid
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends import BaseBackend
from ibis.common.exceptions import IbisError

from bayes_clv.errors import InputError

SPARK, SPARK_CONNECT = "spark", "sc"
_EXTRAS = {"pyspark": "spark", "psycopg": "postgres"}
_SPARK_URL = re.compile(r"spark://(?P<master>[^/?]+)/?(\?(?P<settings>.*))?")
# Engines store instants, and the day of an instant must not depend on the machine's time zone.
ZONE = "UTC"
_SPARK_CONNECT_PORT = 15002
_PATIENCE = 10.0  # seconds to wait for a connection


def is_url(source: object) -> bool:
    """Whether a source is the URL of an engine."""
    return isinstance(source, str) and "://" in source


def place(url: str) -> str:
    """Return the URL for messages: without user, password and settings, which may be secret."""
    if url.startswith(f"{SPARK}://"):
        return url.partition("?")[0]
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def connect(url: str, *, writable: bool = False) -> BaseBackend:
    """Connect to the engine behind a URL.

    Parameters
    ----------
    url
        ``duckdb://shop.db``, ``postgresql://user@host/database``, ``spark://host:7077`` (a
        standalone cluster), ``spark://local[4]`` (Spark in this process), either with settings such
        as ``?spark.executor.memory=4g``, ``sc://host:15002`` (Spark Connect), or any other that
        Ibis knows.
    writable
        Whether tables will be written there, too.

    Raises
    ------
    InputError
        The engine cannot be reached, or a package (or Java) that it needs is not installed.
    """
    where = place(url)
    # Every engine has its own errors; naming them would mean importing every engine. They are not
    # chained, because their text may contain the URL with its password.
    try:
        if url.startswith((f"{SPARK}://", f"{SPARK_CONNECT}://")):
            return _spark(url)
        return ibis.connect(url, **_options(url, writable=writable))
    except InputError:
        raise
    except ImportError as error:
        raise InputError(f"cannot connect to {where}: {_missing(error)}") from None
    except Exception as error:
        reason = one_line(error).replace(url, where)
        password = urlsplit(url).password if not url.startswith(f"{SPARK}://") else None
        if password:
            reason = reason.replace(password, "***")
        raise InputError(f"cannot connect to {where}: {reason}") from None


def find_table(connection: BaseBackend, name: str, where: str) -> ir.Table:
    """Return a table of the engine, ``schema.table`` or ``table``, or a Parquet file that it reads.

    Raises
    ------
    InputError
        There is no table or file of this name.
    """
    schema, _, bare = name.rpartition(".")
    try:
        if "/" in name or name.endswith(".parquet"):
            return connection.read_parquet(name)
        return connection.table(bare, database=schema) if schema else connection.table(name)
    except NotImplementedError:
        raise InputError(f"{where} reads no Parquet files, only tables; got {name!r}") from None
    except Exception as error:
        raise InputError(
            f"{where} has no table {name!r} (--table): {one_line(error.__cause__ or error)}"
        ) from None


def use_zone(connection: BaseBackend, zone: str) -> None:
    """Set the time zone in which the connection finds the day of an instant.

    Raises
    ------
    InputError
        The engine does not know the zone, or its time zone cannot be set.
    """
    quoted = zone.replace("'", "")
    statements = {
        "duckdb": f"SET TimeZone = '{quoted}'",
        "postgres": f"SET TIME ZONE '{quoted}'",
        "pyspark": f"SET TIME ZONE '{quoted}'",
    }
    if connection.name not in statements:
        raise InputError(f"time_zone (--time-zone) cannot be set for {connection.name}")
    try:
        connection.raw_sql(statements[connection.name])
    except Exception as error:
        raise InputError(
            f"time_zone (--time-zone) must be one that {connection.name} knows, such as "
            f"Europe/Paris; got {zone!r}: {one_line(error)}"
        ) from None


def cached(table: ir.Table) -> ir.Table:
    """Have the engine compute a table once and reuse it in later queries.

    The engine drops it with the last reference to it; Spark Connect drops it with the session.
    """
    backend = table.get_backend()
    if backend.name != "pyspark" or not _is_remote(backend):
        return table.cache()
    # Ibis would cache a query. Spark Connect parses the query again at every use and does not see
    # that its WITH clause is the cached one. A view is parsed once, so its cache is found again.
    name = f"bayes_clv_{uuid.uuid4().hex}"
    frame = spark_frame(table)
    frame.createOrReplaceTempView(name)
    frame.sparkSession.catalog.cacheTable(name)
    return backend.table(name)


def to_arrow(table: ir.Table) -> pa.Table:
    """Convert a table to Arrow in this process, column by column."""
    if table.get_backend().name != "pyspark":
        return table.to_pyarrow()
    return spark_frame(table).toArrow()  # Ibis would convert it row by row


def spark_frame(table: ir.Table) -> Any:
    """Return a table that is in Spark as a Spark DataFrame."""
    backend: Any = table.get_backend()
    return backend._session.sql(backend.compile(table))  # Ibis has no public method


def upload(connection: BaseBackend, parts: Iterator[pa.Table]) -> ir.Table:
    """Upload tables of one schema to the engine, one after the other, as a single table.

    The table is temporary: it is dropped with the connection. Only one part at a time is in memory
    here, except with Spark, whose driver holds all parts.
    """
    name = f"bayes_clv_{uuid.uuid4().hex}"
    if connection.name == "pyspark":
        session: Any = connection._session  # Ibis has no public method
        frames = [session.createDataFrame(part) for part in parts]
        reduce(lambda one, other: one.unionAll(other), frames).createOrReplaceTempView(name)
        return connection.table(name)
    first = next(parts)
    connection.create_table(name, first, temp=True)
    for part in parts:
        connection.insert(name, part)
    return connection.table(name)


def failures() -> tuple[type[Exception], ...]:
    """Return the error classes of the engines that are loaded."""
    known = {
        "duckdb": "Error",
        "psycopg": "Error",
        "pyspark.errors": "PySparkException",
        "py4j.protocol": "Py4JError",
    }
    loaded = (
        getattr(sys.modules[module], name)
        for module, name in known.items()
        if module in sys.modules
    )
    return (*loaded, IbisError)


def one_line(error: BaseException, longest: int = 200) -> str:
    """Return the first line of another library's message."""
    lines = str(error).strip().splitlines()
    return lines[0][:longest] if lines else type(error).__name__


def _options(url: str, *, writable: bool) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme not in ("duckdb", "sqlite"):
        return {}
    database = f"{parts.netloc}{parts.path}"
    if not Path(database).is_file():  # either engine would create it without a message
        raise InputError(f"{url} names no database file: {database} does not exist")
    return {"read_only": not writable} if parts.scheme == "duckdb" else {}


def _spark(url: str) -> BaseBackend:
    from pyspark.sql import SparkSession

    if url.startswith(f"{SPARK_CONNECT}://"):
        parts = urlsplit(url)
        address = (parts.hostname or "localhost", parts.port or _SPARK_CONNECT_PORT)
        # Spark would retry for minutes without a message.
        socket.create_connection(address, timeout=_PATIENCE).close()
        session = SparkSession.builder.remote(url).getOrCreate()
        session.conf.set("spark.sql.session.timeZone", ZONE)
        return ibis.pyspark.connect(session)
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        raise InputError(f"cannot connect to {place(url)}: Spark needs Java 17, which is not found")
    found = _SPARK_URL.fullmatch(url)
    if found is None:
        raise InputError(f"{place(url)} must be spark://HOST:PORT or spark://local[CORES]")
    master = found["master"]
    builder = (
        SparkSession.builder.appName("bayes_clv")
        .master(f"spark://{master}" if ":" in master else master)
        .config("spark.sql.session.timeZone", ZONE)
        .config("spark.ui.showConsoleProgress", "false")
    )
    for name, value in parse_qsl(found["settings"] or ""):
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return ibis.pyspark.connect(session)


def _is_remote(backend: Any) -> bool:
    return type(backend._session).__module__.startswith("pyspark.sql.connect.")


def _missing(error: ImportError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        module = (getattr(cause, "name", None) or "").partition(".")[0]
        if module in _EXTRAS:
            return f"it needs {module}; install it with pip install 'bayes-clv[{_EXTRAS[module]}]'"
        cause = cause.__cause__ or cause.__context__
    return one_line(error)
