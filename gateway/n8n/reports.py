"""What n8n reports of a request, from a callback or in the answer of its webhook: parsed and applied in one place."""

import re
import unicodedata
from collections.abc import Set
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import msgspec
import structlog

from gateway.realtime.announcer import Announcer
from gateway.telemetry.logging import log_fields
from storage import transitions
from storage.database.base import Database
from storage.lifecycle import Event
from storage.transitions import Applied, Completion

log = structlog.get_logger(__name__)

MAX_ERROR = 2000
"""Longest error message kept, in characters."""

MAX_KEY = 1024
"""Longest Key, Id or executionId, in characters (the longest object name that S3 takes)."""

MAX_COST = Decimal(1_000_000)
"""A cost above it is a mistake of units."""

UNKNOWN_ERROR = "Unknown error"


class InvalidReport(Exception):
    """A report with missing or wrong fields. `code` is the machine's word for it."""

    def __init__(self, code: str, error: str) -> None:
        super().__init__(error)
        self.code = code


@dataclass(frozen=True, slots=True)
class Progress:
    """It is being worked on, this far (0..100), if that is known."""

    progress: int | None
    execution_id: str | None
    unusable: tuple[str, ...] = ()
    """What was dropped because it could not be used, by name."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The picture exists."""

    key: str
    id: str
    cost: Decimal | None
    execution_id: str | None
    unusable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not work; `message` is cleaned and never empty."""

    message: str
    cost: Decimal | None
    execution_id: str | None
    unusable: tuple[str, ...] = ()


Report = Progress | Completed | Failed


def parse_report(body: dict[str, object], buckets: Set[str] = frozenset()) -> Report:
    """The report in `body`.

    Args:
        body: what n8n sent.
        buckets: where pictures may lie; anywhere when empty.

    Numbers may be strings. An unusable `cost` or `progress` is dropped and logged: a picture that was paid for is not
    refused for a bad number. `error` may be anything.

    Raises:
        InvalidReport: what it should mean cannot be told.
    """
    status = body.get("status")
    execution_id = execution_id_of(body.get("executionId"))
    cost, progress = cost_of(body.get("cost")), progress_of(body.get("progress"))
    numbers = {"cost": cost, "progress": progress}
    unusable = tuple(name for name, used in numbers.items() if used is None and body.get(name) is not None)
    if status == "completed":
        key, storage_id = body.get("Key"), body.get("Id")
        if not _usable(key) or not _usable(storage_id):
            raise InvalidReport("key_and_id_required", "A completed callback needs Key and Id as non-empty text.")
        _check_key(str(key), buckets)
        return Completed(str(key), str(storage_id), cost, execution_id, unusable)
    if status == "failed" or (status is None and body.get("error") is not None):
        return Failed(clean_error(body.get("error")), cost, execution_id, unusable)
    if status == "processing":
        return Progress(progress, execution_id, unusable)
    if status is None:
        raise InvalidReport("status_required", "status is required: processing, completed or failed.")
    raise InvalidReport("unknown_status", "Unknown status: it must be processing, completed or failed.")


def _check_key(key: str, buckets: Set[str]) -> None:
    bucket, _, path = key.partition("/")
    # A browser resolves dots in a URL's path: they would lead out of the bucket, wherever it is checked.
    if not bucket or not path or any(part in (".", "..") for part in key.split("/")):
        raise InvalidReport("invalid_key", "Key must be bucket/path, as the object store's upload answers it.")
    if buckets and bucket not in buckets:
        raise InvalidReport("bucket_not_allowed", "Key lies in a bucket that STORAGE_BUCKETS does not allow.")


def _usable(value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_KEY
        and not any(unicodedata.category(character) in ("Cc", "Cs") for character in value)
    )


def execution_id_of(value: object) -> str | None:
    """n8n's execution id, which may come as a number; None when it is unusable."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and _usable(value) else None


def progress_of(value: object) -> int | None:
    """A progress of 0..100, rounded down; None when there is none or it is unusable."""
    number = _number(value)
    if number is not None and 0 <= number <= 100:
        return int(number)
    return None


def cost_of(value: object) -> Decimal | None:
    """A cost that is not negative, to `COST_DECIMALS` places; None when there is none or it is unusable."""
    number = _number(value)
    if number is not None and 0 <= number <= MAX_COST:
        rounded = round(number, COST_DECIMALS)
        return rounded if rounded != number else number
    return None


COST_DECIMALS = 12
"""JavaScript's sums have up to 17 digits, of which the last ones mean nothing."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,2})?\Z")


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value).strip()
    if not _NUMBER.match(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def clean_error(error: object) -> str:
    """What went wrong, as one text for a person: never empty, no control characters, at most `MAX_ERROR` characters."""
    text = _error_text(error)
    cleaned = "".join(
        character if unicodedata.category(character) not in ("Cc", "Cs") else " " for character in text[: 4 * MAX_ERROR]
    )
    return " ".join(cleaned.split())[:MAX_ERROR] or UNKNOWN_ERROR


# How n8n's HTTP Request node words an answer of an error status: `400 - "{\\"error\\": …}"`, JSON in a JSON string.
_ANSWER = re.compile(r'(?:\d{3} - )?("?\{.*\}"?)', re.DOTALL)


def _error_text(error: object) -> str:
    """The text inside n8n's various error objects, which nest a few levels deep."""
    for _ in range(8):
        if isinstance(error, dict):
            error = error.get("message") or error.get("description") or error.get("error") or list(error.items())
        elif isinstance(error, str) and (answer := _ANSWER.fullmatch(error)):
            try:
                error = msgspec.json.decode(answer[1])
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
                break
        else:
            break
    if isinstance(error, str):
        return error
    return "" if error in (None, [], {}, False) else msgspec.json.encode(error).decode()


async def apply_report(
    database: Database, announcer: Announcer, request_id: str, report: Report, *, actor: str
) -> Applied:
    """Apply the report to the request and announce the change, if there is one.

    Raises:
        DatabaseUnavailable: nothing is known to have changed; the reporter should try again.
    """
    match report:
        case Progress(progress, execution_id, _):
            applied = await transitions.start(
                database, request_id, Event.PROGRESSED, actor=actor, progress=progress, execution_id=execution_id
            )
        case Completed(key, storage_id, cost, execution_id, _):
            completion = Completion(key, storage_id, cost)
            applied = await transitions.complete(
                database, request_id, completion, announcer.urls, actor=actor, execution_id=execution_id
            )
        case Failed(message, cost, execution_id, _):
            applied = await transitions.fail(
                database, request_id, Event.FAILED, message, actor=actor, cost=cost, execution_id=execution_id
            )
    announcer.announce_change(applied, actor=actor)
    if report.unusable and applied.request is not None:
        log.warning("numbers_dropped", **log_fields(applied.request), names=report.unusable)
    return applied
