"""What n8n reports of a request: parsed and applied in one place, whether it came in a callback, in an answer or was
found in an execution."""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import structlog

from gateway.n8n.decoding import FIELDS, likeliest, reports_in
from gateway.n8n.error_messages import explain
from gateway.realtime.announcer import Announcer
from gateway.telemetry.logging import log_fields
from storage import transitions
from storage.database.base import Database
from storage.lifecycle import Event
from storage.transitions import Applied, Completion

log = structlog.get_logger(__name__)

MAX_KEY = 1024
"""Longest Key or Id, in characters (the longest object name that S3 takes)."""

FAILED = ("failed", "fail", "failure", "error", "errored")
"""What a status says of a failure, in the words of different authors."""

_UNSUCCESSFUL = (False, "false")

MAX_EXECUTION_ID = 255
"""Longest executionId, in characters: in any script it fits into an entry of its index (2,704 bytes)."""

MAX_COST = Decimal(1_000_000)
"""A cost above it is a mistake of units."""

_AROUND = "\ufeff\u200b \t\r\n\v\f\u00a0"
"""What expressions and editors leave around a value."""


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
    """It did not work; `message` is what the user reads, cleaned and never empty."""

    message: str
    cost: Decimal | None
    execution_id: str | None
    unusable: tuple[str, ...] = ()
    original: str | None = None
    """n8n's own words, for the operator, where the user reads others."""


Report = Progress | Completed | Failed


_FIELDS = frozenset(FIELDS)


def single_report(content: object) -> dict[str, Any]:
    """The report that a callback's decoded body holds.

    Raises:
        InvalidReport: it holds none, or those of several requests.
    """
    if isinstance(content, dict) and content.keys() <= _FIELDS and "requestId" in content:
        return {name: value for name, value in content.items() if value is not None}  # as the README's workflow has it
    reports = list(reports_in(content))
    if not reports:
        raise InvalidReport("invalid_json", "The body must be a JSON object.")
    requests = {_name(report["requestId"]) for report in reports if "requestId" in report}
    executions = {execution_id_of(report["executionId"]) for report in reports if "executionId" in report}
    if len(requests or executions) > 1:
        raise InvalidReport("several_reports", "The body holds the reports of several requests: send one at a time.")
    named = [report for report in reports if "requestId" in report] if requests else reports
    return likeliest(named)


def _name(request_id: object) -> str | None:
    request_id = stripped(request_id)
    return request_id.lower() if isinstance(request_id, str) else None


def stripped(value: object) -> object:
    """`value` without what expressions and editors leave around a text."""
    return value.strip(_AROUND) if isinstance(value, str) else value


def parse_report(
    body: Mapping[str, Any], buckets: Set[str] = frozenset(), secrets: Callable[[], Collection[str]] = tuple
) -> Report:
    """The report in `body`.

    Args:
        body: the fields that n8n sent.
        buckets: where pictures may lie; anywhere when empty.
        secrets: what is left out of an error, for who asks.

    Numbers may be strings. An unusable `cost` or `progress` is dropped and logged: a picture that was paid for is not
    refused for a bad number. `error` may be anything.

    Raises:
        InvalidReport: what it should mean cannot be told.
    """
    key, storage_id = stripped(body.get("Key")), stripped(body.get("Id"))
    execution_id = execution_id_of(body.get("executionId"))
    cost, progress = cost_of(body.get("cost")), progress_of(body.get("progress"))
    numbers = {"cost": cost, "progress": progress}
    unusable = tuple(name for name, used in numbers.items() if used is None and body.get(name) is not None)
    match _kind(body, has_picture=_usable(key) and _usable(storage_id)):
        case "completed":
            if not _usable(key) or not _usable(storage_id):
                raise InvalidReport("key_and_id_required", "A completed callback needs Key and Id as non-empty text.")
            _check_key(str(key), buckets)
            return Completed(str(key), str(storage_id), cost, execution_id, unusable)
        case "processing":
            return Progress(progress, execution_id, unusable)
    message, original = explain(_error_in(body), secrets())
    return Failed(message, cost, execution_id, unusable, original)


def word_of(value: object) -> object:
    """A word that n8n sent, without white space and in small letters."""
    value = stripped(value)
    return value.lower() if isinstance(value, str) else value


def says_failed(body: Mapping[str, Any]) -> bool:
    """Whether the status, or what stands for one, says that it went wrong."""
    return word_of(body.get("status")) in FAILED or word_of(body.get("success", True)) in _UNSUCCESSFUL


def _kind(body: Mapping[str, Any], *, has_picture: bool) -> str:
    """What the report is: the status says so, or else what it brings."""
    status = word_of(body.get("status"))
    if status in ("completed", "processing"):
        return str(status)
    if status in FAILED or (not status and body.get("error") is not None):
        return "failed"
    if has_picture:
        return "completed"
    if says_failed(body):
        return "failed"
    if status in (None, ""):
        raise InvalidReport("status_required", "status is required: processing, completed or failed.")
    raise InvalidReport("unknown_status", "Unknown status: it must be processing, completed or failed.")


def _error_in(body: Mapping[str, Any]) -> object:
    """What is said of a failure: many flows have the words in `message`, beside an `error` that is only true."""
    error = body.get("error")
    if error is None or isinstance(error, bool) or error == "":
        return body.get("message")
    return error


def _check_key(key: str, buckets: Set[str]) -> None:
    bucket, _, path = key.partition("/")
    # A browser resolves dots in a URL's path: they would lead out of the bucket, wherever it is checked.
    if not bucket or not path or any(part in (".", "..") for part in key.split("/")):
        raise InvalidReport("invalid_key", "Key must be bucket/path, as the object store's upload answers it.")
    if buckets and bucket not in buckets:
        raise InvalidReport("bucket_not_allowed", "Key lies in a bucket that STORAGE_BUCKETS does not allow.")


def _usable(value: object, most: int = MAX_KEY) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= most
        and not any(unicodedata.category(character) in ("Cc", "Cs") for character in value)
    )


def execution_id_of(value: object) -> str | None:
    """n8n's execution id, which may come as a number; None when it is unusable."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**30 else None
    value = stripped(value)
    return value if isinstance(value, str) and _usable(value, MAX_EXECUTION_ID) else None


def progress_of(value: object) -> int | None:
    """A progress of 0..100, rounded down; None when there is none or it is unusable."""
    if type(value) is int:
        return value if 0 <= value <= 100 else None
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
    if isinstance(value, int) and abs(value) >= 10**20:
        return None  # Python refuses to write very long numbers out
    text = str(value).strip()
    if not _NUMBER.match(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


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
        case Failed(message, cost, execution_id, _, original):
            applied = await transitions.fail(
                database,
                request_id,
                Event.FAILED,
                message,
                actor=actor,
                cost=cost,
                execution_id=execution_id,
                original=original,
            )
    announcer.announce_change(applied, actor=actor)
    if report.unusable and applied.request is not None:
        log.warning("numbers_dropped", **log_fields(applied.request), names=report.unusable)
    return applied
