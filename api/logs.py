"""Logs with one JSON object per line, without data of customers.

The content of requests is never logged. Of an error the class and place are logged, not the
message, which may quote a request.
"""

import json
import logging
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger

NAME = "api"  # also Flask's name for the app, and so its logger's


class JsonLines(logging.Formatter):
    """Writes time, level, logger and message, and what was given as ``extra={"fields": …}``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            kind, _, trace = record.exc_info
            line |= {"error": kind.__name__, "stack": _places(trace)}
        return json.dumps(line)


class ServerLogger(GunicornLogger):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's own log in the same form."""

    def setup(self, cfg: Any) -> None:
        """Replace the form of whatever gunicorn has set up."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonLines())


def configure() -> None:
    """Log to stderr from "info" upwards; a process does so once."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logger = logging.getLogger(NAME)
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
