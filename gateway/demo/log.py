"""The demo's log: a few lines a picture, for somebody who reads along."""

import logging

from gateway.telemetry.logging import configure_logging


def log_as_demo() -> None:
    """Set up logging for this process, without a line for each step of a picture's progress."""
    configure_logging(production=False)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_no_progress)


def _no_progress(record: logging.LogRecord) -> bool:
    event = record.msg
    return not (isinstance(event, dict) and event.get("event") == "changed" and event.get("status") == "processing")
