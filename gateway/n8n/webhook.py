"""One request to n8n's webhook: what is sent, and what its answer means.

n8n does not recognise repeats, and a second POST is a second bill. So an answer is sorted by one question: does it
prove that n8n did **not** start the workflow? Only then may the request be sent again.
"""

import json
import re
import secrets
import time
from collections.abc import Set
from dataclasses import dataclass
from enum import Enum

import httpx
import msgspec

from gateway.auth.callback_secrets import CallbackSecrets
from gateway.http_client import new_client
from gateway.n8n.reports import Completed, Failed, InvalidReport, execution_id_of, parse_report
from gateway.settings import Settings
from storage.request import Request, trace_id_of
from storage.times import rfc3339

MAX_ANSWER = 1024 * 1024
"""Most of an answer that is read, in bytes; a workflow may answer with the picture itself."""

CONNECT_SECONDS = 5.0

_STARTING_UP = re.compile(r"\s*(<[^<>]*>\s*)*n8n is starting up")


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
    """It may have started. Never send it again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An attempt's verdict, its reason for people, and what the answer itself already reported."""

    verdict: Verdict
    reason: str
    execution_id: str | None = None
    report: Completed | Failed | None = None


class Webhook:
    """n8n's webhook at `N8N_WEBHOOK_URL`."""

    def __init__(self, settings: Settings, callback_secrets: CallbackSecrets) -> None:
        self._settings = settings
        self._callback_secrets = callback_secrets
        self._client = new_client(
            timeout=httpx.Timeout(settings.n8n_timeout_seconds, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
            # No kept connections: n8n may close an idle one at the moment we write to it, and that looks exactly like
            # a crash after the body was out. A new connection costs a millisecond, a doubt costs a picture.
            limits=httpx.Limits(max_connections=settings.n8n_concurrency + 10, max_keepalive_connections=0),
            follow_redirects=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(self, request: Request) -> Answer:
        """POST `request` and say what came of it. Never raises for anything that n8n or the network does."""
        if not self._settings.n8n_webhook_url:
            return Answer(Verdict.REFUSED, "N8N_WEBHOOK_URL is not set")
        # httpx limits each read, not the whole: an answer that drips would hold a place for ever.
        deadline = time.monotonic() + self._settings.n8n_timeout_seconds
        try:
            async with self._client.stream(
                "POST",
                self._settings.n8n_webhook_url,
                content=json.dumps(self.payload(request)).encode(),
                headers=self._headers(request),
            ) as response:
                body = bytearray()
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        break
                    if time.monotonic() > deadline:
                        return Answer(Verdict.IN_DOUBT, "n8n did not finish its answer in time")
                content_type = response.headers.get("content-type", "")
                return classify(response.status_code, content_type, bytes(body), self._settings.allowed_buckets)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Answer(Verdict.SEND_AGAIN, f"n8n cannot be reached ({type(error).__name__})")
        except httpx.HTTPError as error:
            return Answer(Verdict.IN_DOUBT, f"the connection to n8n was lost ({type(error).__name__})")

    def payload(self, request: Request) -> dict[str, str]:
        """The body, with the original design's names."""
        return {
            "requestId": request.id,
            "Product": request.product,
            "Your Brand": request.brand,
            "organizationId": request.organization_id,
            "callbackUrl": self._settings.callback_url,
            "callbackSecret": self._callback_secrets.token_for(request.id),
            "submittedAt": rfc3339(request.created_at),
            "formMode": self._settings.form_mode,
        }

    def _headers(self, request: Request) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",  # the bound on an answer must hold before it is unpacked
            "X-Webhook-Secret": self._settings.n8n_webhook_secret.get_secret_value(),
            "Idempotency-Key": request.id,
            "traceparent": f"00-{trace_id_of(request)}-{secrets.token_hex(8)}-01",
        }


def classify(status: int, content_type: str, body: bytes, buckets: Set[str] = frozenset()) -> Answer:
    """What n8n's answer means. The content type is not trusted: n8n sends JSON as ``text/html`` too."""
    text = body[:4096].decode(errors="replace")
    content = _json(body)
    if 200 <= status < 300:
        return _accepted(text, content, content_type, buckets)
    message = str(content.get("message", "")) if isinstance(content, dict) else ""
    reason = f"n8n answered {status}" + (f": {message[:200]}" if message else "")
    if status == 404:
        return Answer(_not_found(content, message), reason)
    if status in (429, 502, 503, 504):
        return Answer(Verdict.SEND_AGAIN, reason)
    if status < 500:  # 3xx: a redirect would be followed as GET; other 4xx: wrong secret, wrong method, wrong body
        return Answer(Verdict.REFUSED, reason)
    if status == 500 and message == "Error in workflow":
        return Answer(Verdict.RAN_AND_FAILED, "The workflow failed")
    return Answer(Verdict.IN_DOUBT, reason)


def _not_found(content: object, message: str) -> Verdict:
    if not isinstance(content, dict):
        return Verdict.SEND_AGAIN  # Express's own page: n8n has not yet set up its routes
    hint = str(content.get("hint", ""))
    if "Execute workflow" in hint or "test workflow" in hint.lower():
        return Verdict.REFUSED  # a test URL that nobody has armed
    if "not registered for" in message:
        return Verdict.REFUSED  # the wrong method
    return Verdict.UNREGISTERED if "not registered" in message else Verdict.REFUSED


def _accepted(text: str, content: object, content_type: str, buckets: Set[str]) -> Answer:
    if not text.strip():
        return Answer(Verdict.IN_DOUBT, "n8n answered without a body")
    # Only n8n's own page: a workflow's answer may hold these words too, as the name of a product.
    if content is None and "html" in content_type and _STARTING_UP.match(text):
        return Answer(Verdict.SEND_AGAIN, "n8n is starting up")
    first = content[0] if isinstance(content, list) and content else content
    if not isinstance(first, dict):
        return Answer(Verdict.ACCEPTED, "accepted")
    try:
        return Answer(
            Verdict.ACCEPTED, "accepted", execution_id_of(first.get("executionId")), _reported(first, buckets)
        )
    except InvalidReport as error:
        return Answer(Verdict.RAN_AND_FAILED, f"The workflow's answer cannot be used: {error}")


def _reported(content: dict[str, object], buckets: Set[str]) -> Completed | Failed | None:
    """What a synchronous workflow's answer reports: the picture, or that there is none.

    Raises:
        InvalidReport: it reports a picture that cannot be shown.
    """
    if "Key" in content and "Id" in content:
        content = content | {"status": "completed"}
    elif content.get("status") != "failed":
        return None
    try:
        report = parse_report(content, buckets)
    except InvalidReport as error:
        if error.code == "key_and_id_required":
            return None  # it says nothing; a callback may still come
        raise
    return report if isinstance(report, Completed | Failed) else None


def _json(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
