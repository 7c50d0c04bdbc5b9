"""Sign-in links: each works once, over all processes, and for nobody else."""

import asyncio
import hmac
import json
import uuid

import httpx
import pytest
from jwt.utils import base64url_encode
from pydantic import SecretStr

from gateway.auth import sign_in
from gateway.auth.sign_in import issue_code
from gateway.settings import Settings
from tests.conftest import Person
from tests.running import RunningGateway, running_gateway


def code_for(gateway: RunningGateway, person: Person, *, admin: bool = False) -> str:
    secret = gateway.settings.supabase_jwt_secret.get_secret_value()
    return issue_code(secret, person.id, admin=admin, lifetime=3600)


async def redeem(gateway: RunningGateway, code: object) -> httpx.Response:
    return await gateway.http.post("/api/sign-in", json={"code": code})


async def test_a_link_signs_in_once(gateway: RunningGateway, ada: Person) -> None:
    code = code_for(gateway, ada)
    answers = await asyncio.gather(*(redeem(gateway, code) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    (signed_in,) = [answer for answer in answers if answer.status_code == 200]
    assert signed_in.json() == {"isAdmin": False}
    cookie = signed_in.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    headers = {"Cookie": cookie.partition(";")[0], "Origin": gateway.url}
    gateway.http.cookies.clear()
    submitted = await gateway.http.post(
        "/api/ai-generate", json={"Product": "Shoes", "Your Brand": "Nike"}, headers=headers
    )
    assert submitted.status_code == 202, submitted.text
    assert (await gateway.http.get("/api/admin/requests", headers=headers)).status_code == 403


async def test_an_administrators_link_opens_the_dashboard(gateway: RunningGateway, ada: Person) -> None:
    answer = await redeem(gateway, code_for(gateway, ada, admin=True))
    assert answer.json() == {"isAdmin": True}
    assert (await gateway.http.get("/api/admin/requests")).status_code == 200


async def test_what_is_no_code_is_refused(
    gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "CODE_SECONDS", -60)
    ended = code_for(gateway, ada)
    foreign = issue_code("another secret of thirty-two bytes", ada.id, admin=True, lifetime=60)
    for code in (ended, foreign, gateway.token(ada.id, admin=True), "x", "a.b.c"):
        answer = await redeem(gateway, code)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_code")
        assert "Set-Cookie" not in answer.headers
    for nothing in (None, 7, ""):
        assert (await redeem(gateway, nothing)).status_code == 400


async def test_without_a_shared_secret_every_code_is_refused(settings: Settings) -> None:
    no_secret = {"supabase_url": "https://project.supabase.co", "supabase_jwt_secret": SecretStr("")}
    async with running_gateway(settings.model_copy(update=no_secret)) as gateway:
        # PyJWT does not sign with an empty key any more, whoever forges a code does.
        head, payload, _ = issue_code("x" * 32, str(uuid.uuid4()), admin=True, lifetime=3600).split(".")
        signature = hmac.digest(b"", f"{head}.{payload}".encode(), "sha256")
        for code in (f"{head}.{payload}.{base64url_encode(signature).decode()}", f"{head}.{payload}.x", "a.b.c"):
            answer = await redeem(gateway, code)
            assert (answer.status_code, answer.json()["code"]) == (401, "invalid_code")
            assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("head", [b"[" * 30_000, b'{"alg":' * 6_000, b"\xff", b"[]", b'{"alg":[]}', b'{"alg":"none"}'])
async def test_a_code_of_any_form_is_refused(gateway: RunningGateway, head: bytes) -> None:
    for code in (f"{base64url_encode(head).decode()}.e30.x", "\ud800.e30.x"):
        content = json.dumps({"code": code})  # escaped: half a surrogate pair is JSON, and no UTF-8
        answer = await gateway.http.post("/api/sign-in", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 401), answer.text
        assert answer.json()["code"] in ("invalid_code", "invalid_json"), answer.text


async def test_a_code_is_no_access_token(gateway: RunningGateway, ada: Person) -> None:
    headers = {"Authorization": f"Bearer {code_for(gateway, ada, admin=True)}"}
    assert (await gateway.http.get("/api/usage", headers=headers)).status_code == 401
