"""One request to n8n's webhook: what is sent, and how far it got."""

import asyncio
import json
import secrets
import time
from functools import partial

import httpx
import structlog

from gateway.auth.callback_secrets import CallbackSecrets
from gateway.auth.redaction import secrets_of
from gateway.http_client import new_client
from gateway.n8n.answers import Answer, Verdict, classify
from gateway.settings import Settings
from storage.request import Request, trace_id_of
from storage.times import rfc3339

log = structlog.get_logger(__name__)

MAX_ANSWER = 16 * 1024 * 1024
"""Most of an answer that is read, in bytes: a workflow may answer with the picture itself beside its Key and Id."""

LARGE_ANSWER = 256 * 1024
"""From this size on, in bytes, an answer is decoded beside the event loop."""

CONNECT_SECONDS = 5.0


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
        """POST `request` and say what came of it. Never raises."""
        if not self._settings.n8n_webhook_url:
            return Answer(Verdict.REFUSED, "N8N_WEBHOOK_URL is not set")
        try:
            post = self._client.build_request(
                "POST",
                self._settings.n8n_webhook_url,
                content=json.dumps(self._payload(request)).encode(),
                headers=_sendable(self._headers(request)),
            )
        except Exception as error:
            log.exception("dispatch_not_built")
            return Answer(Verdict.REFUSED, f"the POST to n8n cannot be made ({type(error).__name__})")
        try:
            return await self._send(post, secrets_of(request.id, self._settings, self._callback_secrets))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            # A ProxyError says that a proxy made no tunnel. What it answers in n8n's place is an answer, not an error.
            return Answer(Verdict.SEND_AGAIN, f"n8n cannot be reached ({type(error).__name__})")
        except httpx.HTTPError as error:
            return Answer(Verdict.IN_DOUBT, f"the connection to n8n was lost ({type(error).__name__})")
        except Exception as error:
            log.exception("dispatch_task_failed")
            return Answer(Verdict.IN_DOUBT, f"the sending broke ({type(error).__name__})")

    async def _send(self, post: httpx.Request, known: list[str]) -> Answer:
        # httpx limits each read, not the whole: an answer that drips would hold a place for ever.
        deadline = time.monotonic() + self._settings.n8n_timeout_seconds
        response = await self._client.send(post, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_ANSWER:
                    break
                if time.monotonic() > deadline:
                    return Answer(Verdict.IN_DOUBT, "n8n did not finish its answer in time")
        finally:
            await response.aclose()
        answer = response.status_code, response.headers.get("content-type", ""), bytes(body)
        judge = partial(classify, *answer, self._settings.allowed_buckets, known, path=post.url.path)
        return judge() if len(body) < LARGE_ANSWER else await asyncio.to_thread(judge)

    def _payload(self, request: Request) -> dict[str, str]:
        return payload_of(request, self._settings) | {"callbackSecret": self._callback_secrets.token_for(request.id)}

    def _headers(self, request: Request) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",  # the bound on an answer must hold before it is unpacked
            "X-Webhook-Secret": self._settings.n8n_webhook_secret.get_secret_value(),
            "Idempotency-Key": request.id,
            "traceparent": f"00-{trace_id_of(request)}-{secrets.token_hex(8)}-01",
        }


def payload_of(request: Request, settings: Settings) -> dict[str, str]:
    """The body, with the original design's names, without `callbackSecret`."""
    return {
        "requestId": request.id,
        "Product": request.product,
        "Your Brand": request.brand,
        "organizationId": request.organization_id,
        "callbackUrl": settings.callback_url,
        "submittedAt": rfc3339(request.created_at),
        "formMode": settings.form_mode,
    }


def _sendable(headers: dict[str, str]) -> dict[str, str]:
    """The headers, if HTTP can carry them (RFC 9110, section 5.5): later nobody could tell what had been sent.

    Raises:
        ValueError: a value that it cannot; the text names the header alone.
    """
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise ValueError(f"{name} cannot be sent")
    return headers
