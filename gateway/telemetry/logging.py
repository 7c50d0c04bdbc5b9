"""Structured logs: JSON lines, or readable ones in development at a terminal.

Only named fields are logged, never a body, a token or a secret; control characters in values are escaped, so no input
can forge a line.

A line of our own is rendered once, by structlog, and handed to the root logger's handler finished. What the standard
library's loggers say is rendered in that handler, by the same processors.
"""

import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from storage.request import Request, trace_id_of

WARNINGS_ONLY = ("httpx", "httpcore", "databases", "aiosqlite", "alembic", "uvicorn")
"""Loggers of libraries that say more than anyone reads."""


class _Rendered(str):
    """A finished line."""

    __slots__ = ()


def _escaped(_: object, __: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable() and name != "exception":
            event[name] = value.encode("unicode_escape").decode()
    return event


def _text(value: object) -> str:
    return str(value) if isinstance(value, str) else repr(value)


_encode = msgspec.json.Encoder(enc_hook=_text).encode


def _json(_: object, __: str, event: EventDict) -> str:
    """One JSON object, in ASCII: whatever reads a log shows it as it is."""
    try:
        line = _encode(event).decode()
    except (ValueError, TypeError):  # a lone surrogate within a list, a number that is too large
        line = ""
    # msgspec is ten times faster and leaves other characters as they are, invisible ones too; they are rare.
    return line if line and line.isascii() else json.dumps(event, default=repr)


def _finished(_: object, __: str, line: str) -> _Rendered:
    return _Rendered(line)


class _Formatter(logging.Formatter):
    """Passes on what is rendered, and renders what the standard library's loggers say.

    Args:
        processors: structlog's chain, the last of which makes the line.
    """

    def __init__(self, processors: Sequence[Processor]) -> None:
        super().__init__()
        self._processors = processors

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.msg, _Rendered):
            return record.msg
        event: Any = {"event": record.getMessage()}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        if record.stack_info:
            event["stack"] = record.stack_info
        logger = logging.getLogger(record.name)
        for process in self._processors:
            event = process(logger, record.levelname.lower(), event)
        return str(event)


def _processors(*, readable: bool) -> list[Processor]:
    # Plain tracebacks: the pretty ones print local variables, tokens among them.
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    render: list[Any] = [_escaped, console] if readable else [structlog.processors.format_exc_info, _escaped, _json]
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        *render,
        _finished,
    ]


def configure_logging(*, production: bool, level: int = logging.INFO) -> None:
    """Set up logging for this process, for the standard library's loggers too.

    Lines are for people in development at a terminal; in production, and where they go into a file or a pipe, they are
    for programs: JSON, at half the cost.
    """
    processors = _processors(readable=not production and sys.stderr.isatty())
    structlog.configure(
        processors=processors,
        logger_factory=logging.getLogger,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    _leave_out_what_no_line_says()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(processors))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in WARNINGS_ONLY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _leave_out_what_no_line_says() -> None:
    """Let records be made without the caller, thread, process and task (logging's "Optimization" in Python's docs)."""
    logging._srcfile = None  # the documented way
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    if sys.version_info >= (3, 12):
        logging.logAsyncioTasks = False


def log_fields(request: Request) -> dict[str, str | None]:
    """What every log line about `request` says, so that its whole life can be found by any of them."""
    return {
        "request_id": request.id,
        "user_id": request.user_id,
        "execution_id": request.n8n_execution_id,
        "trace_id": trace_id_of(request),
    }


def reason_of(error: Exception) -> str:
    """What a log line says of why something failed: the error's text, cut to 200 characters."""
    return str(error)[:200]
