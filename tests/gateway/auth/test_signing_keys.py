"""Tokens that a Supabase project signs with keys of its own (RS256, ES256), and every way to abuse them."""

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives import serialization
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.auth import signing_keys
from gateway.auth.session_cookie import SessionToken
from gateway.auth.signing_keys import KeysUnavailable
from gateway.auth.tokens import Authenticator, Credential, InvalidToken
from gateway.settings import Settings
from tests.channels import binding, channel_client
from tests.people import People, Person, parsing_only
from tests.running import RunningGateway, eventually, receive, running_gateway, send
from tests.session_cookies import cookie
from tests.supabase import SupabaseProject, claims, new_key, public_jwk, supabase_project

SECRET = "a-secret-of-the-tests-" + "s" * 64
USER = str(uuid.uuid4())


@pytest.fixture
async def project() -> AsyncIterator[SupabaseProject]:
    async with supabase_project() as running:
        yield running


@pytest.fixture
async def authenticator(project: SupabaseProject) -> AsyncIterator[Authenticator]:
    made = Authenticator(Settings.load({"supabase_url": project.url, "supabase_jwt_secret": SECRET}))
    yield made
    await made.aclose()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between two fetches."""
    monkeypatch.setattr(signing_keys, "COOLDOWN_SECONDS", 0.0)
    monkeypatch.setattr(signing_keys, "RETRY_SECONDS", 0.0)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_published_key_verifies_its_tokens(
    project: SupabaseProject, authenticator: Authenticator, algorithm: str
) -> None:
    kid = project.publish(algorithm)
    user = await authenticator.user_of_token(project.token(kid, USER, app_metadata={"role": "admin"}))
    assert (user.id, user.is_admin) == (USER, True)


async def test_a_shared_secret_still_works_beside_it_whatever_key_id_the_token_names(
    project: SupabaseProject, authenticator: Authenticator
) -> None:
    for headers in ({}, {"kid": "legacy-key-id"}):
        token = jwt.encode(claims(USER), SECRET, algorithm="HS256", headers=headers)
        assert (await authenticator.user_of_token(token)).id == USER
    assert project.fetches == 0, "a shared secret needs no key set"


async def test_many_who_come_at_once_cause_one_fetch(project: SupabaseProject, authenticator: Authenticator) -> None:
    project.delay = 0.1
    token = project.token(project.publish("ES256"), USER)
    users = await asyncio.gather(*(authenticator.user_of_token(token) for _ in range(50)))
    assert {user.id for user in users} == {USER}
    assert project.fetches == 1


async def test_a_caller_who_leaves_does_not_end_the_fetch_of_the_others(
    project: SupabaseProject, authenticator: Authenticator
) -> None:
    project.delay = 0.2
    token = project.token(project.publish("ES256"), USER)
    leaving, staying = (asyncio.create_task(authenticator.user_of_token(token)) for _ in range(2))
    await eventually(lambda: asyncio.sleep(0, project.fetches == 1))
    leaving.cancel()
    assert (await staying).id == USER


async def test_a_new_key_is_fetched_when_a_token_first_names_it(
    project: SupabaseProject, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await authenticator.user_of_token(project.token(project.publish("ES256"), USER))
    monkeypatch.setattr(signing_keys, "COOLDOWN_SECONDS", 0.0)
    await authenticator.user_of_token(project.token(project.publish("RS256"), USER))
    assert project.fetches == 2


async def test_forged_key_ids_do_not_become_load(project: SupabaseProject, authenticator: Authenticator) -> None:
    kid = project.publish("ES256")
    await authenticator.user_of_token(project.token(kid, USER))
    key = new_key("ES256")
    for _ in range(50):
        forged = jwt.encode(claims(USER), key, algorithm="ES256", headers={"kid": str(uuid.uuid4())})
        # Neither good nor bad: the endpoint was asked just now, and a key may be newer than that.
        with pytest.raises(KeysUnavailable):
            await authenticator.user_of_token(forged)
    assert project.fetches == 1


async def test_a_key_that_is_newer_than_the_last_look_is_not_called_bad(
    project: SupabaseProject, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sends a forged token just before must not sign others out."""
    await authenticator.user_of_token(project.token(project.publish("ES256"), USER))
    token = project.token(project.publish("ES256"), USER)
    with pytest.raises(KeysUnavailable):
        await authenticator.user_of_token(token)
    monkeypatch.setattr(signing_keys, "COOLDOWN_SECONDS", 0.0)
    assert (await authenticator.user_of_token(token)).id == USER


async def test_after_a_long_rest_the_set_is_looked_at_first(
    project: SupabaseProject, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    kid, _ = project.publish("ES256"), project.publish("ES256")
    token = project.token(kid, USER)
    await authenticator.user_of_token(token)
    del project.published[kid]
    monkeypatch.setattr(signing_keys, "COOLDOWN_SECONDS", 0.0)
    monkeypatch.setattr(signing_keys, "STALE_SECONDS", 0.0)
    with pytest.raises(InvalidToken):
        await authenticator.user_of_token(token)


BROKEN = [
    PlainTextResponse("away", 503),
    PlainTextResponse("<html>", 200),
    JSONResponse({"keys": "none"}),
    JSONResponse([1]),
    RedirectResponse("/elsewhere", 302),
    Response(b'{"keys":[' + b" " * signing_keys.MAX_BYTES + b"]}"),
    Response(b"[" * 20_000),
    JSONResponse({"keys": []}),
    JSONResponse({"keys": [{"kty": "PQC", "kid": "future"}]}),
    JSONResponse({"keys": [{"kty": "EC", "crv": "P-256", "kid": "broken", "x": "!", "y": "!"}, "text"]}),
]


@pytest.mark.parametrize("answer", BROKEN)
@pytest.mark.usefixtures("hurried")
async def test_known_keys_are_kept_while_the_endpoint_is_away(
    project: SupabaseProject, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch, answer: Response
) -> None:
    token = project.token(project.publish("ES256"), USER)
    await authenticator.user_of_token(token)
    project.answer = answer
    monkeypatch.setattr(signing_keys, "FRESH_SECONDS", 0.0)
    assert (await authenticator.user_of_token(token)).id == USER
    await eventually(lambda: asyncio.sleep(0, project.fetches >= 2))
    unknown = project.token(project.publish("ES256"), USER)
    with pytest.raises(KeysUnavailable):
        await authenticator.user_of_token(unknown)
    assert (await authenticator.user_of_token(token)).id == USER
    project.answer = None
    assert (await authenticator.user_of_token(unknown)).id == USER, "and learned once it is back"


async def test_a_set_without_a_usable_key_is_told(
    project: SupabaseProject, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = project.token(project.publish("ES256"), USER)
    await authenticator.user_of_token(token)
    project.answer = JSONResponse({"keys": []})
    monkeypatch.setattr(signing_keys, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(signing_keys, "COOLDOWN_SECONDS", 0.0)

    async def told() -> list[Any]:
        await authenticator.user_of_token(token)
        return [entry for entry in logs if entry["event"] == "jwks_unavailable"]

    with structlog.testing.capture_logs() as logs:
        entries = list(await eventually(told))
    assert entries[0]["log_level"] == "warning"
    assert entries[0]["kept"] == 1
    assert "no key that can be used" in entries[0]["reason"]
    assert len(entries) == 1, "and asked again after the pause of a fetch that failed"


@pytest.mark.usefixtures("hurried")
async def test_a_revoked_key_is_forgotten_at_the_next_look(
    project: SupabaseProject, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    kid, _ = project.publish("ES256"), project.publish("ES256")
    token = project.token(kid, USER)
    await authenticator.user_of_token(token)
    del project.published[kid]
    monkeypatch.setattr(signing_keys, "FRESH_SECONDS", 0.0)

    async def refused() -> bool:
        try:
            await authenticator.user_of_token(token)
        except InvalidToken:
            return True
        return False

    await eventually(refused)


def pem(project: SupabaseProject, kid: str) -> bytes:
    key, _ = project.published[kid]
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def signed_with_bytes(secret: bytes, header: dict[str, str]) -> str:
    """An HS256 token made by hand: the library refuses to use a public key as a secret."""
    import hashlib
    import hmac

    def encoded(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims(USER)))
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_a_public_key_is_never_a_shared_secret(
    project: SupabaseProject, authenticator: Authenticator, algorithm: str
) -> None:
    kid = project.publish(algorithm)
    await authenticator.user_of_token(project.token(kid, USER))
    for header in ({"alg": "HS256", "kid": kid}, {"alg": "HS256"}, {"alg": "HS256", "kid": "other"}):
        with pytest.raises(InvalidToken):
            await authenticator.user_of_token(signed_with_bytes(pem(project, kid), header))
    in_the_name_of_a_key = jwt.encode(claims(USER), SECRET, algorithm="HS256", headers={"kid": kid})
    with pytest.raises(InvalidToken):
        await authenticator.user_of_token(in_the_name_of_a_key)


async def test_the_header_does_not_choose_the_algorithm(project: SupabaseProject, authenticator: Authenticator) -> None:
    rsa_kid, ec_kid = project.publish("RS256"), project.publish("ES256")
    await authenticator.user_of_token(project.token(ec_kid, USER))
    rsa_key, ec_key = project.published[rsa_kid][0], project.published[ec_kid][0]
    forged = [
        jwt.encode(claims(USER), rsa_key, algorithm="RS512", headers={"kid": rsa_kid}),
        jwt.encode(claims(USER), rsa_key, algorithm="PS256", headers={"kid": rsa_kid}),
        jwt.encode(claims(USER), rsa_key, algorithm="RS256", headers={"kid": ec_kid}),
        jwt.encode(claims(USER), ec_key, algorithm="ES256", headers={"kid": rsa_kid}),
        jwt.encode(claims(USER), ec_key, algorithm="ES256"),
        jwt.encode(claims(USER), "", algorithm="none", headers={"kid": ec_kid}),
        jwt.encode(claims(USER), new_key("ES256"), algorithm="ES256", headers={"kid": ec_kid}),
        project.token(ec_kid, USER, aud="anon"),
        project.token(ec_kid, USER, exp=1),
        project.token(ec_kid, "admin"),
        project.token(ec_kid, USER)[:-4] + "AAAA",
    ]
    for token in forged:
        with pytest.raises(InvalidToken):
            await authenticator.user_of_token(token)


async def test_what_is_no_signing_key_is_left_out(project: SupabaseProject, authenticator: Authenticator) -> None:
    """A set may hold a shared secret (that it should not), keys for encryption, and things from the future."""
    secret = base64.urlsafe_b64encode(b"k" * 40).rstrip(b"=").decode()
    encrypting = new_key("ES256")
    project.extra = [
        {"kty": "oct", "kid": "shared", "k": secret, "alg": "HS256"},
        public_jwk(encrypting, "ES256", "encrypting", use="enc"),
        {"kty": "EC", "crv": "P-256", "kid": "broken", "x": "!", "y": "!"},
        {"kty": "EC", "crv": "P-256", "kid": "numbers", "x": 5, "y": 5},
        {"kty": "RSA", "kid": "empty", "n": "", "e": ""},
        {"kty": "EC", "crv": ["P-256"], "kid": "list"},
        {"kty": "PQC", "kid": "future"},
        {"kty": "RSA", "kid": 1},
        "text",
    ]
    kid = project.publish("ES256")
    assert (await authenticator.user_of_token(project.token(kid, USER))).id == USER
    forged = [
        signed_with_bytes(b"k" * 40, {"alg": "HS256", "kid": "shared"}),
        jwt.encode(claims(USER), encrypting, algorithm="ES256", headers={"kid": "encrypting"}),
    ]
    for token in forged:
        with pytest.raises((InvalidToken, KeysUnavailable)):
            await authenticator.user_of_token(token)


ANON = jwt.encode({"iss": "supabase", "ref": "x", "role": "anon", "iat": 1, "exp": 9_999_999_999}, SECRET)


@pytest.mark.parametrize("key", ["sb_publishable_abc", "sb_secret_abc", ANON])
async def test_api_keys_are_not_users(key: str) -> None:
    settings = Settings.load({"supabase_jwt_secret": SECRET, "supabase_anon_key": ANON})
    with pytest.raises(InvalidToken, match="API key"):
        await Authenticator(settings).user_of_token(key)


async def test_without_a_shared_secret_no_token_with_one_is_good(project: SupabaseProject) -> None:
    authenticator = Authenticator(Settings.load({"supabase_url": project.url, "supabase_jwt_secret": ""}))
    kid = project.publish("ES256")
    assert (await authenticator.user_of_token(project.token(kid, USER))).id == USER
    for secret in (b"", b"super-secret-jwt-token-with-at-least-32-characters-long"):
        with pytest.raises(InvalidToken):
            await authenticator.user_of_token(signed_with_bytes(secret, {"alg": "HS256"}))


def two_sessions(project: SupabaseProject, user: str) -> str:
    """The cookies of somebody who is signed in to another project on this host too, which comes first."""
    kid = project.publish("ES256")
    other = jwt.encode(claims(user), new_key("ES256"), algorithm="ES256", headers={"kid": "another project's"})
    return "; ".join(
        (cookie(other, name="sb-another-auth-token"), cookie(project.token(kid, user), name="sb-x-auth-token"))
    )


async def test_the_first_request_of_a_process_finds_the_session_that_verifies(
    project: SupabaseProject, authenticator: Authenticator
) -> None:
    """No key is known yet, so none of the sessions can be judged without a fetch."""
    user = await authenticator.user_of_request("GET", Headers({"cookie": two_sessions(project, USER)}))
    assert user is not None
    assert user.id == USER
    assert project.fetches == 1


@pytest.mark.parametrize("own_is_good", [True, False])
async def test_while_keys_cannot_be_fetched_the_projects_own_session_decides(
    project: SupabaseProject, authenticator: Authenticator, own_is_good: bool
) -> None:
    project.answer = PlainTextResponse("away", 503)
    unknown, ended = project.token(project.publish("ES256"), USER), jwt.encode(claims(USER, exp=1), SECRET)
    tokens = (SessionToken(unknown, own=own_is_good), SessionToken(ended, own=not own_is_good))
    with pytest.raises(KeysUnavailable if own_is_good else InvalidToken):
        await authenticator.user_of_credential(Credential(tokens))
    strangers = tuple(SessionToken(token, own=False) for token in (ended, unknown))
    with pytest.raises(KeysUnavailable):  # the project may have a domain of its own
        await authenticator.user_of_credential(Credential(strangers))


@parsing_only
async def test_the_first_upgrade_of_a_process_finds_the_session_that_verifies(
    settings: Settings, project: SupabaseProject, users_table: str
) -> None:
    settings = settings.model_copy(update={"supabase_url": project.url})
    for transport in ("/ws", "Supabase's"):
        async with running_gateway(settings) as gateway:
            ada = await People(gateway.state.database, users_table).person()
            headers = {"Cookie": two_sessions(project, ada.id)}
            if transport == "/ws":
                url = gateway.url.replace("http", "ws") + "/ws"
                async with connect(url, additional_headers=headers, origin=gateway.url, proxy=None) as websocket:  # type: ignore[arg-type]
                    assert (await receive(websocket))["type"] == "welcome"
            else:
                async with channel_client(gateway.url, additional_headers=headers, origin=gateway.url) as client:
                    await client.joined("x", [binding()])


async def test_over_http_and_websocket(settings: Settings, project: SupabaseProject, users_table: str) -> None:
    settings = settings.model_copy(update={"supabase_url": project.url})
    kid = project.publish("ES256")
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        project.answer = PlainTextResponse("away", 503)
        await _is_told_to_come_back(gateway, project, kid, ada)
        project.answer = None
        gateway.state.authenticator._keys._tried_at = None  # type: ignore[union-attr]
        token = project.token(kid, ada.id)
        headers = {"Authorization": f"Bearer {token}"}
        body = {"Product": "Shoes", "Your Brand": "Nike"}
        answer = await gateway.http.post("/api/ai-generate", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        async with gateway.websocket(token) as websocket:
            assert (await receive(websocket))["type"] == "welcome"
            await send(websocket, type="auth", token=project.token(kid, ada.id))
            assert (await receive(websocket))["type"] == "authenticated"
            await send(websocket, type="subscribe", scope="mine")
            (found,) = (await receive(websocket))["requests"]
            assert found["requestId"] == answer.json()["requestId"]


async def _is_told_to_come_back(gateway: RunningGateway, project: SupabaseProject, kid: str, ada: Person) -> None:
    """A token that cannot be verified now is neither good nor bad."""
    token = project.token(kid, ada.id)
    answer = await gateway.http.get("/api/ai-status/x", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]
    async with gateway.websocket(token) as websocket:
        with pytest.raises(ConnectionClosed) as closed:
            await receive(websocket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013
