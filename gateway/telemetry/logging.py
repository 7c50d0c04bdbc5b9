"""Structured logs: JSON lines in production, readable lines in development.

Only named fields are logged, never a body, a token or a secret; control characters in values are escaped, so no input
can forge a line.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from storage.request import Request, trace_id_of


def _escaped(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable() and name != "exception":
            event[name] = value.encode("unicode_escape").decode()
    return event


def configure_logging(*, production: bool, level: int = logging.INFO) -> None:
    """Set up logging for this process, for the standard library's loggers too."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    # Plain tracebacks: the pretty ones print local variables, tokens among them.
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    render: list[Any] = (
        [structlog.processors.format_exc_info, _escaped, structlog.processors.JSONRenderer()]
        if production
        else [_escaped, console]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "databases", "aiosqlite", "alembic", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


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
