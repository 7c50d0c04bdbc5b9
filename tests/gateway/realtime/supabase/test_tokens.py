"""Whose a channel is: tokens that are missing, follow, end, change, or belong to somebody else."""

import pytest

from tests.channels import API_KEY, binding, channel_client
from tests.gateway.realtime.supabase.speaking import complete, once, progress, started
from tests.people import Person
from tests.running import RunningGateway
from tests.session_cookies import cookie


@once
@pytest.mark.parametrize("api_key_as_token", [False, True])
async def test_a_join_without_a_token_is_asked_to_come_again_twice(
    gateway: RunningGateway, ada: Person, api_key_as_token: bool
) -> None:
    token = API_KEY if api_key_as_token else None
    request_id = await started(gateway, ada)
    asked = [binding("*", f"id=eq.{request_id}")]
    async with channel_client(gateway.url) as client:
        for _ in range(2):
            reply = await client.join("x", asked, token)
            assert reply.payload["status"] == "ok"
            error = await client.receive()
            assert (error.event, error.ref) == ("phx_error", reply.ref)
        for _ in range(2):
            reply = await client.join("x", asked, token)
            assert reply.payload["status"] == "error"
            assert "sign in" in reply.payload["response"]["reason"]
        assert await client.silent()
        await client.joined("x", asked, gateway.token(ada.id))
        assert (await client.change())["data"]["record"]["id"] == request_id


@once
async def test_a_token_that_follows_the_join_opens_the_channel(gateway: RunningGateway, ada: Person, vsn: str) -> None:
    request_id = await started(gateway, ada)
    async with channel_client(gateway.url, vsn) as client:
        reply = await client.join("x", [binding("*", f"id=eq.{request_id}")])
        assert reply.payload["status"] == "ok"
        await client.push("realtime:x", "access_token", {"access_token": gateway.token(ada.id)})
        assert (await client.receive()).event == "system"
        assert (await client.change())["data"]["record"]["id"] == request_id
        await progress(gateway, request_id, 50)
        assert (await client.change())["data"]["record"]["progress"] == 50


async def test_the_session_cookie_stands_in_for_a_missing_token(gateway: RunningGateway, ada: Person) -> None:
    request_id = await started(gateway, ada)
    headers = {"Cookie": cookie(gateway.token(ada.id))}
    asked = [binding("*", f"id=eq.{request_id}")]
    async with channel_client(gateway.url, additional_headers=headers, origin=gateway.url) as client:
        await client.joined("x", asked)
        await client.change()
        bad = await client.join("y", asked, "nonsense")
        assert bad.payload["status"] == "error", "a bad token never falls back to the cookie"
        await client.push("realtime:x", "access_token", {"access_token": API_KEY})
        again = await client.join("z", asked)
        assert (again.payload["status"], (await client.receive()).event) == ("ok", "phx_error"), "signed out is out"


@once
@pytest.mark.parametrize("lifetime", [-100, None])
async def test_a_bad_token_may_be_asked_with_again(gateway: RunningGateway, ada: Person, lifetime: int | None) -> None:
    token = "x.y.z" if lifetime is None else gateway.token(ada.id, lifetime=lifetime)
    async with channel_client(gateway.url) as client:
        reply = await client.join("x", [binding()], token)
        assert reply.payload["status"] == "error"
        assert reply.payload["response"]["reason"].startswith("InvalidJWTToken:")
        assert await client.silent(), "no phx_close: the client asks again, ever more slowly, with a fresh token"


@once
async def test_older_clients_are_told_to_come_again(gateway: RunningGateway) -> None:
    """Some that retry a refused join by themselves would leave the channel for ever (2.45)."""
    async with channel_client(gateway.url, "1.0.0") as client:
        reply = await client.join("x", [binding()], "x.y.z")
        error = await client.receive()
        assert (reply.payload["status"], error.event, error.ref) == ("error", "phx_error", reply.ref)


@once
async def test_a_channel_ends_with_its_token_unless_a_fresh_one_comes(
    gateway: RunningGateway, ada: Person, vsn: str
) -> None:
    request_id = await started(gateway, ada)
    async with channel_client(gateway.url, vsn) as client:
        for topic in ("a", "b"):
            await client.joined(topic, [binding("*", f"id=eq.{request_id}")], gateway.token(ada.id, lifetime=2))
            await client.change()
        await client.push("realtime:a", "access_token", {"access_token": gateway.token(ada.id)})
        system, error = await client.receive(), await client.receive()
        assert {system.topic, error.topic} == {"realtime:b"}
        assert (system.event, system.payload["status"], system.payload["channel"]) == ("system", "error", "b")
        assert error.event == "phx_error"
        await progress(gateway, request_id, 50)
        assert (await client.receive()).topic == "realtime:a"
        assert await client.silent()


@once
async def test_signing_out_silences_the_channel_and_signing_in_opens_it(gateway: RunningGateway, ada: Person) -> None:
    request_id = await started(gateway, ada)
    async with channel_client(gateway.url) as client:
        await client.joined("x", [binding("*", f"id=eq.{request_id}")], gateway.token(ada.id))
        await client.change()
        await client.push("realtime:x", "access_token", {"access_token": API_KEY})
        assert await client.silent()
        assert gateway.state.hub.subscribers == 0
        await progress(gateway, request_id, 50)
        assert await client.silent()
        await client.push("realtime:x", "access_token", {"access_token": gateway.token(ada.id)})
        assert (await client.receive()).event == "system"
        assert (await client.change())["data"]["record"]["progress"] == 50


@once
async def test_another_users_token_ends_the_channel(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    request_id = await started(gateway, ada)
    async with channel_client(gateway.url) as client:
        await client.joined("x", [binding("*", f"id=eq.{request_id}")], gateway.token(ada.id))
        await client.change()
        await client.push("realtime:x", "access_token", {"access_token": gateway.token(eve.id)})
        assert [(await client.receive()).event for _ in range(2)] == ["system", "phx_error"]
        await complete(gateway, request_id)
        assert await client.silent()
