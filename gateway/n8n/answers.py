"""What an answer to the webhook's POST means.

n8n does not recognise repeats, and a second POST is a second bill. So an answer is sorted by one question: does it
prove that n8n did **not** start the workflow? Only then may the request be sent again. An answer that n8n did not make
(a proxy's, a load balancer's) proves nothing: the proxy may have handed the POST on. The README here has the table.
"""

import re
from collections.abc import Collection, Set
from dataclasses import dataclass, replace
from enum import Enum
from html import unescape
from urllib.parse import unquote

from gateway.n8n.decoding import Undecodable, decode, likeliest, reports_in
from gateway.n8n.error_messages import UNKNOWN_ERROR, clean_text
from gateway.n8n.reports import (
    FAILED,
    Completed,
    Failed,
    InvalidReport,
    execution_id_of,
    parse_report,
    says_failed,
    word_of,
)
from gateway.n8n.turned_away import turned_away

MAX_REASON = 300
"""Longest reason, in characters."""


class Verdict(Enum):
    """What is known after an attempt."""

    ACCEPTED = "accepted"
    """n8n has it."""
    SEND_AGAIN = "send_again"
    """n8n did not start it; it may later."""
    UNREGISTERED = "unregistered"
    """n8n does not know the webhook: so it is while n8n starts, and if the workflow is not active."""
    REFUSED = "refused"
    """n8n will never take it."""
    RAN_AND_FAILED = "ran_and_failed"
    """The workflow ran and broke."""
    IN_DOUBT = "in_doubt"
    """It may have started. Never send it again, unless n8n itself says that it has no such execution."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An attempt's verdict, its reason for operators, and what the answer itself already reported."""

    verdict: Verdict
    reason: str
    execution_id: str | None = None
    report: Completed | Failed | None = None

    def bare(self) -> "Answer":
        """The same without any text that came from outside, for a database that refuses it."""
        report = self.report
        if isinstance(report, Completed):
            report = replace(report, cost=None, execution_id=None)
        elif isinstance(report, Failed):
            report = Failed(UNKNOWN_ERROR, None, None)
        return Answer(self.verdict, self.verdict.value, None, report)


CONNECTION_NOT_MADE = frozenset({521, 522, 523, 525, 526, 530})
"""Cloudflare's: it could not connect to the origin (or find it), so n8n cannot have seen the POST. Its 520 and 524 come
after the POST was handed on."""

_STARTING_UP = re.compile(r"\s*(<[^<>]*>\s*)*n8n is starting up")

_DOCUMENT = re.compile(
    r"[\ufeff\s]*<(?:!--|\?xml\b|!doctype\b|(?:html|head|title|meta|link|base|style|script|body)\b)", re.IGNORECASE
)

_EXPRESS_HEAD = r'<!DOCTYPE html>\s*<html lang="en">\s*<head>\s*<meta charset="utf-8">\s*<title>Error</title>\s*</head>'
_EXPRESS_UNROUTED = re.compile(
    rf"{_EXPRESS_HEAD}\s*<body>\s*<pre>Cannot POST (/[^<>/]+/[^<>]+)</pre>\s*</body>\s*</html>\s*"
)
"""n8n's path has two parts at least: a provider's may be called as the last part of ours alone is."""

_N8N_UNREGISTERED = re.compile(r'The requested webhook "(?:POST )?(.+)" is not registered\.')
_N8N_WRONG_METHOD = "This webhook is not registered for"


def classify(
    status: int,
    content_type: str,
    body: bytes,
    buckets: Set[str] = frozenset(),
    secrets: Collection[str] = (),
    *,
    path: str = "",
) -> Answer:
    """What n8n's answer means.

    Args:
        status: its status code.
        content_type: not trusted: n8n sends JSON as ``text/html`` too.
        body: its content.
        buckets: where pictures may lie; anywhere when empty.
        secrets: what is left out of its words.
        path: the path that was asked for, decoded; without it no 404 proves that nothing ran.
    """
    text = body[:4096].decode(errors="replace")
    try:
        content = decode(body)
    except Undecodable:
        content = None
    if 200 <= status < 300:
        return _success(text, content, content_type, buckets, secrets)
    message = content.get("message") if isinstance(content, dict) else None
    reason = f"n8n answered {status}" + (f": {message}" if isinstance(message, str) and message else "")
    reason = clean_text(reason, MAX_REASON, secrets)
    said = likeliest(reports) if (reports := list(reports_in(content))) else {}
    if status <= 500 and word_of(said.get("status")) == "failed" and (report := _failure(said, secrets)) is not None:
        # A Respond node's own words, under the status that its author chose.
        return Answer(Verdict.RAN_AND_FAILED, reason, report.execution_id, report)
    return Answer(_refusal(status, text, content, path), reason)


def _refusal(status: int, text: str, content: object, path: str) -> Verdict:
    if status == 404:
        return _not_found(text, content, path)
    if status in (429, 503):
        return Verdict.SEND_AGAIN if turned_away(status, text, content) else Verdict.IN_DOUBT
    if status in CONNECTION_NOT_MADE:
        return Verdict.SEND_AGAIN if _is_cloudflares(content) else Verdict.IN_DOUBT
    if status == 500 and isinstance(content, dict) and content.get("message") == "Error in workflow":
        return Verdict.RAN_AND_FAILED
    if status >= 500 or status == 408:
        return Verdict.IN_DOUBT
    # A redirect (to HTTPS, to a login page) would be followed as GET; wrong secret, wrong method, wrong body. None
    # proves that nothing ran, for a Respond node can answer anything: it fails at once, and a picture would still win.
    return Verdict.REFUSED


def _is_cloudflares(content: object) -> bool:
    """Whether a status of Cloudflare's came with what Cloudflare says: no JSON, or its own."""
    return not isinstance(content, dict | list) or (isinstance(content, dict) and bool(content.get("cloudflare_error")))


def _not_found(text: str, content: object, path: str) -> Verdict:
    """What a 404 says: n8n's own names what we asked for; a workflow may hand on that of a provider or another n8n."""
    if content is None:
        # Express's own page: n8n has not yet set up its routes. Any other page is a proxy's or a workflow's.
        page = _EXPRESS_UNROUTED.fullmatch(text)
        ours = page is not None and _ends(path, unquote(unescape(page[1])))
        return Verdict.SEND_AGAIN if ours else Verdict.IN_DOUBT
    message, hint = (str(content.get(name, "")) if isinstance(content, dict) else "" for name in ("message", "hint"))
    if message.startswith(_N8N_WRONG_METHOD):
        return Verdict.REFUSED
    unregistered = _N8N_UNREGISTERED.fullmatch(message)
    if unregistered is None or not _ends(path, unregistered[1]):
        return Verdict.IN_DOUBT  # a proxy without a route, or a Respond node
    test_url = "Execute workflow" in hint or "test workflow" in hint.lower()
    return Verdict.REFUSED if test_url else Verdict.UNREGISTERED  # a test URL that nobody has armed stays so


def _ends(path: str, named: str) -> bool:
    """Whether `named` is `path` or its last parts: n8n leaves its ``/webhook/`` out, a proxy takes away a prefix."""
    named = named.strip("/")
    return bool(named) and f"/{path.strip('/')}".endswith(f"/{named}")


def _success(text: str, content: object, content_type: str, buckets: Set[str], secrets: Collection[str]) -> Answer:
    if not text.strip("\ufeff \t\r\n"):
        return Answer(Verdict.IN_DOUBT, "n8n answered without a body")
    if content is None:
        # Only n8n's own page: a workflow's answer may hold these words too, as the name of a product.
        if "html" in content_type and _STARTING_UP.match(text):
            return Answer(Verdict.SEND_AGAIN, "n8n is starting up")
        if _DOCUMENT.match(text):
            return Answer(Verdict.IN_DOUBT, "the answer is a web page: is that n8n?")
    reports = list(reports_in(content))
    if not reports:
        return Answer(Verdict.ACCEPTED, "accepted")
    said = likeliest(reports)
    try:
        return Answer(
            Verdict.ACCEPTED, "accepted", execution_id_of(said.get("executionId")), _reported(said, buckets, secrets)
        )
    except InvalidReport as error:
        return Answer(Verdict.RAN_AND_FAILED, f"The workflow's answer cannot be used: {error}")


def _reported(said: dict[str, object], buckets: Set[str], secrets: Collection[str]) -> Completed | Failed | None:
    """What a synchronous workflow's answer reports: the picture, or that there is none.

    Raises:
        InvalidReport: it reports a picture that cannot be shown.
    """
    if said.get("Key") and said.get("Id") and word_of(said.get("status")) not in FAILED:
        try:
            report = parse_report({**said, "status": "completed"}, buckets)
        except InvalidReport as error:
            if error.code == "key_and_id_required":
                return None  # it says nothing; a callback may still come
            raise
        return report if isinstance(report, Completed) else None
    return _failure(said, secrets)


def _failure(said: dict[str, object], secrets: Collection[str]) -> Failed | None:
    """The failure that a workflow's own words report, if they do."""
    if not says_failed(said) and not said.get("error"):
        return None
    report = parse_report({**said, "status": "failed"}, secrets=lambda: secrets)
    return report if isinstance(report, Failed) else None
