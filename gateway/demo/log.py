"""The demo's log: a few lines a picture, for somebody who reads along."""

import structlog
from structlog.typing import EventDict

from gateway.telemetry.logging import configure_logging


def log_as_demo() -> None:
    """Set up logging for this process, without a line for each step of a picture's progress."""
    configure_logging(production=False)
    structlog.configure(processors=[_without_progress, *structlog.get_config()["processors"]])


def _without_progress(_: object, __: str, event: EventDict) -> EventDict:
    if event.get("event") == "changed" and event.get("status") == "processing":
        raise structlog.DropEvent
    return event
