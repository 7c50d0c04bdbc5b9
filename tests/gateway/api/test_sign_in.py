"""Sign-in links: each works once, over all processes, and for nobody else."""

import asyncio

import httpx
import pytest

from gateway.auth import sign_in
from gateway.auth.sign_in import issue_code
from tests.conftest import Person
from tests.running import RunningGateway


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


async def test_a_code_is_no_access_token(gateway: RunningGateway, ada: Person) -> None:
    headers = {"Authorization": f"Bearer {code_for(gateway, ada, admin=True)}"}
    assert (await gateway.http.get("/api/usage", headers=headers)).status_code == 401
