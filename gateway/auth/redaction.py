"""Texts from outside, without the secrets that they quote: n8n's words may hold what it was sent."""

import json
from collections.abc import Collection, Iterator

from gateway.auth.callback_secrets import CallbackSecrets
from gateway.settings import Settings

LEFT_OUT = "[left out]"
"""Stands where a secret stood."""

MIN_SECRET = 8
"""Shortest secret that is looked for, in characters: a shorter one is part of anything."""


def secrets_of(request_id: str, settings: Settings, callback_secrets: CallbackSecrets) -> list[str]:
    """The secrets that texts about this request may quote."""
    own = [settings.n8n_webhook_secret, settings.n8n_api_key, settings.supabase_service_role_key]
    known = [*(secret.get_secret_value() for secret in own if secret is not None)]
    return [secret for secret in (*known, *callback_secrets.that_open(request_id)) if len(secret) >= MIN_SECRET]


def text_without(secrets: Collection[str], text: str) -> str:
    """`text` with each of `secrets` left out, also as JSON writes it. Cut it afterwards: half a secret is not found."""
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):  # one may be a part of another
        text = text.replace(form, LEFT_OUT)
    return text


def _forms(secret: str) -> Iterator[str]:
    """As it is, in JSON, and in JSON that stands in JSON."""
    for _ in range(3):
        yield secret
        secret = json.dumps(secret)[1:-1]
