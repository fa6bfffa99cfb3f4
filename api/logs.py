"""Logs with one JSON object per line, without customer data.

What a client sent is never logged. Of an error only the type and the stack are logged, not the
message, which may quote what was sent.
"""

import json
import logging
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger

NAME = "api"  # also the name of the Flask app, and therefore of its logger


class JsonLines(logging.Formatter):
    """Formats time, level, logger, process, message and the fields in ``extra={"fields": …}``."""

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
    """gunicorn's own log in the same format."""

    def setup(self, cfg: Any) -> None:
        """Set the format of the handlers that gunicorn has set up."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonLines())


def configure() -> None:
    """Log to stderr from level "info" on; called once per process."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logger = logging.getLogger(NAME)
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
