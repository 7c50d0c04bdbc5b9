"""Who is asking: forged, foreign, expired and misplaced credentials, by HTTP and by WebSocket."""

import base64
import json
import time
import uuid
from typing import Any

import jwt
import pytest
from starlette.datastructures import Headers

from gateway.auth import session_cookie
from gateway.auth.callback_secrets import CallbackSecrets
from gateway.auth.session_cookie import cookie_of_project, session_tokens
from gateway.auth.tokens import Authenticator, ForeignOrigin, InvalidToken, issue_token
from gateway.settings import Settings
from tests.conftest import Person
from tests.running import RunningGateway

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


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        "a.b.c",
        token(secret="another-secret-of-at-least-32-characters"),
        token(algorithm="HS512"),
        token(exp=int(time.time()) - 60),
        token(exp=None),
        token(aud="anon"),
        token(aud=None),
        token(sub=None),
        token(sub="admin"),
        token(sub=""),
        token(nbf=int(time.time()) + 600),
        token(app_metadata={"x": "y" * 20_000}),
        unsigned(),
    ],
)
async def test_bad_tokens_are_refused(authenticator: Authenticator, bad: str) -> None:
    with pytest.raises(InvalidToken):
        await authenticator.user_of_token(bad)


async def test_a_little_clock_difference_is_forgiven(authenticator: Authenticator) -> None:
    now = int(time.time())
    assert (await authenticator.user_of_token(token(exp=now - 2))).id == USER
    assert (await authenticator.user_of_token(token(iat=now + 50, nbf=now + 50))).id == USER
    for early in (token(iat=now + 70), token(nbf=now + 70)):
        with pytest.raises(InvalidToken):
            await authenticator.user_of_token(early)


def cookie(access_token: str, *, form: str = "base64", name: str = "sb-project-auth-token") -> str:
    session = json.dumps({"access_token": access_token, "expires_at": 1, "user": {"email": "ä@example.com"}})
    if form == "json":
        from urllib.parse import quote

        return f"{name}={quote(session)}"
    encoded = "base64-" + base64.urlsafe_b64encode(session.encode()).rstrip(b"=").decode()
    if form == "base64":
        return f"theme=dark; {name}={encoded}; other=1"
    pieces = [encoded[start : start + 100] for start in range(0, len(encoded), 100)]
    return "; ".join(f"{name}.{number}={piece}" for number, piece in reversed(list(enumerate(pieces))))


@pytest.mark.parametrize("form", ["base64", "json", "chunked"])
def test_the_session_cookie_in_all_its_forms(form: str) -> None:
    assert session_tokens(Headers({"cookie": cookie("the.access.token", form=form)}), "") == ["the.access.token"]


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "sb-x-auth-token=",
        "sb-x-auth-token=base64-%%%",
        "sb-x-auth-token=base64-" + base64.urlsafe_b64encode(b"\xff\xff").decode(),
        "sb-x-auth-token=" + "[" * 20_000,
        "sb-x-auth-token=[1]",
        'sb-x-auth-token={"access_token":1}',
        "sb-x-auth-token.1=base64-e30",
        "sb-x-auth-token-code-verifier=abc",
        "auth-token=abc",
    ],
)
def test_broken_cookies_are_no_session(broken: str) -> None:
    assert session_tokens(Headers({"cookie": broken}), "") == []


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


def test_the_projects_own_session_comes_first() -> None:
    name = cookie_of_project("https://ours.supabase.co")
    both = "; ".join((cookie("theirs", name="sb-other-auth-token"), cookie("ours", name="sb-ours-auth-token")))
    assert session_tokens(Headers({"cookie": both}), name) == ["ours", "theirs"]


def test_parts_that_a_longer_session_has_left_behind_are_no_harm() -> None:
    name, fresh, stale = (
        "sb-project-auth-token",
        *(cookie(text).split("; ")[1].partition("=")[2] for text in ("fresh", "stale" * 300)),
    )
    parts = f"{name}.0={fresh}; {name}.1={stale[1000:]}; {name}.2=x"
    assert session_tokens(Headers({"cookie": parts}), "") == ["fresh"]
    assert session_tokens(Headers({"cookie": f"{name}={fresh}; {name}.0={stale[:900]}"}), "") == ["fresh"]


async def test_of_two_projects_on_one_host_the_one_that_verifies_counts(authenticator: Authenticator) -> None:
    other = jwt.encode({"sub": USER, "aud": "authenticated", "exp": int(time.time()) + 60}, "x" * 32, "HS256")
    both = "; ".join((cookie(other, name="sb-127-auth-token"), cookie(token(), name="sb-project-auth-token")))
    headers = Headers({"cookie": both, "origin": OWN})
    user = await authenticator.user_of_request("POST", headers)
    assert user is not None
    assert user.id == USER
    credential = authenticator.credential_of_upgrade(headers)
    assert credential is not None
    assert authenticator.user_of_token_now(credential) == user


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
        authenticator.user_of_token_now(str(authenticator.credential_of_upgrade(headers)))


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


def test_the_token_of_a_request_is_what_the_contract_says() -> None:
    import hashlib
    import hmac

    request_id = "3FA85F64-5717-4562-B3FC-2C963F66AFA6"
    digest = hmac.new(b"k" * 40, request_id.lower().encode(), hashlib.sha256).digest()
    expected = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert CallbackSecrets(Settings.load({"ai_callback_secret": "k" * 40})).token_for(request_id) == expected


async def test_issued_tokens_are_good() -> None:
    authenticator = Authenticator(Settings.load({"supabase_jwt_secret": SECRET}))
    user = await authenticator.user_of_token(issue_token(SECRET, USER, admin=True, lifetime=60))
    assert (user.id, user.is_admin) == (USER, True)


def test_many_parts_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends cookies chooses how many parts they have; no credential is needed for that."""
    looked_at = 0

    def counting(text: str) -> str:
        nonlocal looked_at
        looked_at += len(text)
        return text

    monkeypatch.setattr(session_cookie, "unquote", counting)
    parts = "; ".join(f"sb-x-auth-token.{number}={'%41' * 200}" for number in range(100))
    assert session_tokens(Headers({"cookie": parts}), "") == []
    assert 0 < looked_at < len(parts)
