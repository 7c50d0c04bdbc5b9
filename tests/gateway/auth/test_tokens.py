"""Who is asking: forged, foreign, expired and misplaced credentials, by HTTP and by WebSocket."""

import base64
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from starlette.datastructures import Headers
from websockets.exceptions import ConnectionClosed

from gateway.auth.session_cookie import SessionToken
from gateway.auth.tokens import Authenticator, Credential, ForeignOrigin, InvalidToken, issue_token
from gateway.realtime.close_codes import CloseCode
from gateway.settings import Settings
from tests.channels import binding, channel_client
from tests.people import Person
from tests.running import RunningGateway, receive, send
from tests.session_cookies import cookie

SECRET = "a-secret-of-the-tests-" + "s" * 64
USER = str(uuid.uuid4())
OWN = "https://app.example.com"


@pytest.fixture
def authenticator() -> Authenticator:
    return Authenticator(Settings.load({"supabase_jwt_secret": SECRET}).model_copy(update={"app_url": OWN}))


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {"sub": USER, "aud": "authenticated", "iat": now, "exp": now + 60, "role": "authenticated"}
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


def token(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), secret, algorithm=algorithm)


def unsigned() -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims())
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, ""])


async def test_a_good_token_names_its_user(authenticator: Authenticator) -> None:
    user = await authenticator.user_of_token(token())
    assert (user.id, user.is_admin) == (USER, False)


async def test_admins_are_marked_by_app_metadata_alone(authenticator: Authenticator) -> None:
    assert (await authenticator.user_of_token(token(app_metadata={"role": "admin"}))).is_admin
    for forged in ({"user_metadata": {"role": "admin"}}, {"role": "admin"}, {"app_metadata": "admin"}):
        assert not (await authenticator.user_of_token(token(**forged))).is_admin


BAD: dict[str, Callable[[], str]] = {  # made when they are tried: one that has expired meanwhile would prove nothing
    "empty": lambda: "",
    "no token": lambda: "x",
    "three parts": lambda: "a.b.c",
    "another secret": lambda: token(secret="another-secret-of-at-least-32-characters"),
    "another algorithm": lambda: token(algorithm="HS512"),
    "expired": lambda: token(exp=int(time.time()) - 60),
    "an end in milliseconds": lambda: token(exp=int(time.time() * 1000) + 60_000),
    "an end in milliseconds that is over": lambda: token(exp=int(time.time() * 1000) - 60_000),
    "an end past all dates": lambda: token(exp=10**30),
    "without an end": lambda: token(exp=None),
    "another audience": lambda: token(aud="anon"),
    "without an audience": lambda: token(aud=None),
    "without a subject": lambda: token(sub=None),
    "a subject that is no id": lambda: token(sub="admin"),
    "an empty subject": lambda: token(sub=""),
    "not yet": lambda: token(nbf=int(time.time()) + 600),
    "too long": lambda: token(app_metadata={"x": "y" * 20_000}),
    "unsigned": unsigned,
}


@pytest.mark.parametrize("kind", BAD)
async def test_bad_tokens_are_refused(authenticator: Authenticator, kind: str) -> None:
    with pytest.raises(InvalidToken):
        await authenticator.user_of_token(BAD[kind]())


async def test_a_little_clock_difference_is_forgiven(authenticator: Authenticator) -> None:
    now = int(time.time())
    assert (await authenticator.user_of_token(token(exp=now - 2))).id == USER
    assert (await authenticator.user_of_token(token(iat=now + 50, nbf=now + 50))).id == USER
    for early in (token(iat=now + 70), token(nbf=now + 70)):
        with pytest.raises(InvalidToken):
            await authenticator.user_of_token(early)


REQUESTS: list[tuple[str, dict[str, str], type[Exception] | None]] = [
    ("POST", {"origin": OWN}, None),
    ("POST", {}, ForeignOrigin),
    ("POST", {"origin": "https://evil.example"}, ForeignOrigin),
    ("POST", {"origin": "null"}, ForeignOrigin),
    ("POST", {"origin": OWN + ".evil.example"}, ForeignOrigin),
    ("GET", {}, None),
    ("GET", {"sec-fetch-site": "same-origin"}, None),
    ("GET", {"sec-fetch-site": "cross-site"}, ForeignOrigin),
    ("GET", {"origin": "https://evil.example"}, ForeignOrigin),
]


async def test_of_two_projects_on_one_host_the_one_that_verifies_counts(authenticator: Authenticator) -> None:
    other = jwt.encode({"sub": USER, "aud": "authenticated", "exp": int(time.time()) + 60}, "x" * 32, "HS256")
    both = "; ".join((cookie(other, name="sb-127-auth-token"), cookie(token(), name="sb-project-auth-token")))
    headers = Headers({"cookie": both, "origin": OWN})
    user = await authenticator.user_of_request("POST", headers)
    assert user is not None
    assert user.id == USER
    credential = authenticator.credential_of_upgrade(headers)
    assert credential is not None
    assert authenticator.user_of_credential_now(credential) == user
    assert await authenticator.user_of_credential(credential) == user


async def test_of_two_bad_sessions_the_projects_own_is_told(authenticator: Authenticator) -> None:
    both = Credential((SessionToken("a.b.c", own=False), SessionToken(token(exp=1), own=True)))
    with pytest.raises(InvalidToken, match="ExpiredSignatureError"):
        await authenticator.user_of_credential(both)
    with pytest.raises(InvalidToken, match="ExpiredSignatureError"):
        authenticator.user_of_credential_now(both)


@pytest.mark.parametrize(("method", "headers", "error"), REQUESTS)
async def test_where_a_cookie_may_come_from(
    authenticator: Authenticator, method: str, headers: dict[str, str], error: type[Exception] | None
) -> None:
    request = Headers({"cookie": cookie(token()), **headers})
    if error is None:
        user = await authenticator.user_of_request(method, request)
        assert user is not None
        assert user.id == USER
    else:
        with pytest.raises(error):
            await authenticator.user_of_request(method, request)


async def test_a_bearer_needs_no_origin(authenticator: Authenticator) -> None:
    headers = Headers({"authorization": f"bearer {token()}", "origin": "https://evil.example"})
    user = await authenticator.user_of_request("POST", headers)
    assert user is not None
    assert user.id == USER


@pytest.mark.parametrize("header", ["Bearer x", "Bearer ", "Bearer", "Basic eDp5", "", "Token abc"])
async def test_a_bad_bearer_never_falls_back_to_the_cookie(authenticator: Authenticator, header: str) -> None:
    headers = Headers({"authorization": header, "cookie": cookie(token()), "origin": OWN})
    with pytest.raises(InvalidToken):
        await authenticator.user_of_request("POST", headers)
    with pytest.raises(InvalidToken):
        authenticator.user_of_credential_now(authenticator.credential_of_upgrade(headers) or Credential(()))


async def test_an_end_in_milliseconds_is_no_end_on_any_transport(gateway: RunningGateway, ada: Person) -> None:
    """It once opened HTTP, and broke the clock of a connection."""
    forever = gateway.token(ada.id, lifetime=int(time.time() * 1000))
    answer = await gateway.http.get("/api/ai-requests", headers={"Authorization": f"Bearer {forever}"})
    assert answer.status_code == 401
    for first in (None, forever):
        async with gateway.websocket(forever if first is None else None) as websocket:
            if first is not None:
                await send(websocket, type="auth", token=first)
            with pytest.raises(ConnectionClosed) as closed:
                await receive(websocket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == CloseCode.UNAUTHORIZED
    async with channel_client(gateway.url) as client:
        reply = await client.join("x", [binding()], forever)
        assert reply.payload["response"]["reason"].startswith("InvalidJWTToken:")
        await client.joined("y", [binding()], gateway.token(ada.id))
        await client.push("realtime:y", "access_token", {"access_token": forever})
        said = await client.receive()
        assert said.event == "system"
        assert said.payload["message"].startswith("InvalidJWTToken:")


async def test_http_answers(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    url = f"/api/ai-status/{request_id}"
    answer = await gateway.http.get(url)
    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized", "code": "unauthorized"})
    assert (await gateway.http.get(url, headers={"Authorization": "Bearer x"})).status_code == 401
    with_cookie = {"Cookie": cookie(gateway.token(ada.id))}
    assert (await gateway.http.get(url, headers=with_cookie)).status_code == 200
    body = {"Product": "Shoes", "Your Brand": "Nike"}
    foreign = await gateway.http.post("/api/ai-generate", json=body, headers=with_cookie)
    assert (foreign.status_code, foreign.json()["code"]) == (403, "foreign_origin")
    own = await gateway.http.post("/api/ai-generate", json=body, headers={**with_cookie, "Origin": gateway.url})
    assert own.status_code == 202


async def test_issued_tokens_are_good() -> None:
    authenticator = Authenticator(Settings.load({"supabase_jwt_secret": SECRET}))
    user = await authenticator.user_of_token(issue_token(SECRET, USER, admin=True, lifetime=60))
    assert (user.id, user.is_admin) == (USER, True)
