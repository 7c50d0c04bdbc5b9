"""The secrets with which n8n calls back: one for a request, one for all of them, and those before a change."""

import base64
import hashlib
import hmac

from gateway.auth.callback_secrets import CallbackSecrets
from gateway.settings import Settings


def test_the_token_of_a_request_is_what_the_contract_says() -> None:
    request_id = "3FA85F64-5717-4562-B3FC-2C963F66AFA6"
    digest = hmac.new(b"k" * 40, request_id.lower().encode(), hashlib.sha256).digest()
    expected = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert CallbackSecrets(Settings.load({"ai_callback_secret": "k" * 40})).token_for(request_id) == expected


def test_each_secret_opens_what_it_should_and_no_more() -> None:
    ours = CallbackSecrets(Settings.load({"ai_callback_secret": "k" * 40, "ai_callback_secret_previous": "p" * 40}))
    before = CallbackSecrets(Settings.load({"ai_callback_secret": "p" * 40}))
    for provided in ("k" * 40, "p" * 40, ours.token_for("a"), before.token_for("a")):
        assert ours.opens(provided, "a")
    for provided in ("", "K" * 40, "p" * 39, ours.token_for("b"), before.token_for("b"), "\udcff"):
        assert not ours.opens(provided, "a")
    assert [ours.is_global(secret) for secret in ("k" * 40, "p" * 40, ours.token_for("a"))] == [True, True, False]
    assert not before.opens("k" * 40, "a"), "a secret that is no longer the previous one opens nothing"
