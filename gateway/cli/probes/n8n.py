"""Whether n8n is there and takes the webhook's POST, without starting the workflow."""

import httpx

from gateway.auth.callback_secrets import CallbackSecrets
from gateway.cli.probes.finding import Finding, not_set, ok, problem, warning
from gateway.cli.reasons import why_unreachable
from gateway.http_client import new_client
from gateway.n8n.executions import Executions, ExecutionsUnavailable
from gateway.settings import Settings, origin_of

SECONDS = 5.0
"""Longest wait for one answer."""

GATEWAY_ERRORS = (502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 530)
"""What proxies answer when nothing good is behind them."""


async def probe_webhook(settings: Settings) -> list[Finding]:
    """Ask, as a browser would before a POST, what the webhook takes: n8n answers that without starting anything."""
    about, url = "N8N_WEBHOOK_URL", settings.n8n_webhook_url
    if not url:
        return [problem(about, "is not set: no request can be sent")]
    if settings.environment == "production" and "/webhook-test/" in url:
        return [problem(about, "is a test URL, which n8n arms for one call by hand: use the production URL")]
    headers = {"Origin": origin_of(settings.app_url), "Access-Control-Request-Method": "POST"}
    try:
        async with new_client(timeout=SECONDS) as client:
            answer = await client.options(url, headers=headers)
    except httpx.InvalidURL as error:
        return [problem(about, f"cannot be read ({error})")]
    except httpx.HTTPError as error:
        return [problem(about, why_unreachable(error))]
    return [_judged(about, answer)]


def _judged(about: str, answer: httpx.Response) -> Finding:
    """What the answer to OPTIONS says of a POST."""
    status = answer.status_code
    methods = answer.headers.get("access-control-allow-methods", answer.headers.get("allow", ""))
    takes_post = "POST" in (method.strip().upper() for method in methods.split(","))
    if status < 300 and "access-control-allow-methods" in answer.headers:
        return ok(about, "n8n is there, and a published workflow takes the POST (it was not started)")
    if status in (200, 204, 405) and takes_post:
        return ok(about, "something that takes a POST is there (it was not sent one)")
    if status == 404 and "not registered" in answer.text:
        return problem(about, "n8n is there, but no published workflow takes a POST at this path")
    if status == 404:
        return problem(about, "answers 404 and is no n8n: look at the host, the port and the path")
    if status in GATEWAY_ERRORS:
        return problem(about, f"a proxy answers {status}: n8n is not behind it now")
    if answer.is_redirect:
        return problem(about, "redirects elsewhere, which a POST does not follow: set the address it leads to")
    if status in (401, 403):
        return problem(about, f"answers {status} before n8n is asked: a proxy wants a sign-in")
    return warning(about, f"something is there that answers {status}; whether it takes a POST was not tried")


async def probe_api(settings: Settings) -> list[Finding]:
    """Read one execution's summary."""
    about = "N8N_API_URL"
    if not settings.n8n_api_url:
        return [not_set(about, "requests in doubt wait for their callback or deadline; n8n is not asked about them")]
    executions = Executions(settings, CallbackSecrets(settings))
    try:
        await executions.try_out()
    except ExecutionsUnavailable as error:
        reason = f"executions cannot be read ({error})"
        return [problem(about, f"{reason}. Does the key have the scopes execution:read and :list?")]
    finally:
        await executions.aclose()
    return [ok(about, "executions can be read")]
