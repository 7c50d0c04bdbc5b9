"""What bindings are told of, and what a record holds, over the real server and in both serializers."""

import json

import pytest

from gateway.realtime.supabase.rows import COLUMNS
from gateway.settings import Settings
from tests.channels import binding, channel_client
from tests.gateway.realtime.supabase.speaking import complete, once, progress, started
from tests.people import People, Person
from tests.running import RunningGateway, running_gateway


async def test_the_documents_channel(gateway: RunningGateway, ada: Person, vsn: str) -> None:
    request_id = await started(gateway, ada)
    async with channel_client(gateway.url, vsn) as client:
        asked = binding("UPDATE", f"id=eq.{request_id}")
        reply = await client.join(f"ai-request-{request_id}", [asked], gateway.token(ada.id))
        (bound,) = reply.payload["response"]["postgres_changes"]
        assert reply.payload == {"status": "ok", "response": {"postgres_changes": [{**asked, "id": bound["id"]}]}}
        assert list(bound) == [*asked, "id"]
        assert bound["id"] > 0
        system = await client.receive()
        assert (system.event, system.ref) == ("system", None)
        assert system.payload == {
            "message": "Subscribed to PostgreSQL",
            "status": "ok",
            "extension": "postgres_changes",
            "channel": f"ai-request-{request_id}",
        }
        if vsn == "2.0.0":
            assert reply.join_ref == system.join_ref == "1"
        first = await client.change()
        assert (first["ids"], first["data"]["type"]) == ([bound["id"]], "UPDATE")
        assert first["data"]["record"]["status"] == "processing"
        await progress(gateway, request_id, 40)
        assert (await client.change())["data"]["record"]["progress"] == 40
        await complete(gateway, request_id)
        message = await client.receive()
        assert (message.ref, message.join_ref) == (None, None)
        assert message.payload["data"]["record"]["status"] == "completed"


async def test_a_record_is_the_row_and_the_body(gateway: RunningGateway, ada: Person) -> None:
    request_id = await started(gateway, ada)
    await complete(gateway, request_id)
    body = await gateway.body(ada.id, request_id)
    async with channel_client(gateway.url) as client:
        await client.joined("x", [binding("*", f"id=eq.{request_id}")], gateway.token(ada.id))
        data = (await client.change())["data"]
    record = data["record"]
    assert {name: record[name] for name in body} == body
    assert record.keys() == body.keys() | {name for name, _ in COLUMNS}
    assert (record["id"], record["user_id"], record["organization_id"]) == (request_id, ada.id, ada.organizations[0])
    assert (record["storage_key"], record["storage_id"]) == ("b/a b.png", "1")
    assert isinstance(record["request_metadata"], dict)
    assert record["created_at"].endswith("+00:00")
    assert body["publicUrl"].endswith("/b/a%20b.png")
    assert data["columns"] == [{"name": name, "type": type_} for name, type_ in COLUMNS]
    assert (data["schema"], data["table"], data["errors"]) == ("public", "ai_image_requests", None)
    assert data["old_record"] == {"id": request_id}
    assert data["commit_timestamp"] == body["updatedAt"]


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_the_rows_columns_are_as_postgresql_writes_them(gateway: RunningGateway, ada: Person) -> None:
    request_id = await started(gateway, ada)
    await gateway.callback({"requestId": request_id, "status": "failed", "error": "x" * 50})
    names = [name for name, _ in COLUMNS if name != "cost"]  # which the Body has as text
    rows = await gateway.state.database.all(
        "SELECT to_jsonb(r) AS row FROM ai_image_requests r WHERE id = :id", id=request_id
    )
    row = json.loads(rows[0]["row"])
    async with channel_client(gateway.url) as client:
        await client.joined("x", [binding("*", f"id=eq.{request_id}")], gateway.token(ada.id))
        record = (await client.change())["data"]["record"]
    assert {name: record[name] for name in names} == {name: row[name] for name in names}


async def test_events_go_to_the_bindings_that_ask_for_them(gateway: RunningGateway, ada: Person, vsn: str) -> None:
    mine = f"user_id=eq.{ada.id}"
    async with channel_client(gateway.url, vsn) as client:
        asked = [
            binding("INSERT", mine),
            binding("UPDATE", mine),
            binding("*"),
            binding("INSERT", f"user_id=eq.{ada.id}"),
        ]
        inserts, updates, everything, again = await client.joined("all", asked, gateway.token(ada.id))
        assert len({inserts, updates, everything, again}) == 4
        request_id = await started(gateway, ada)
        first = await client.change()
        assert (first["ids"], first["data"]["type"]) == ([inserts, everything, again], "INSERT")
        assert first["data"]["record"]["id"] == request_id
        assert "old_record" not in first["data"]
        seen = [first["data"]["record"]["version"]]
        if seen[0] > 1:  # n8n's answer was quicker: who asks for updates alone must not miss it
            assert (await client.change())["ids"] == [updates]
        await complete(gateway, request_id)
        while True:
            change = await client.change()
            assert (change["ids"], change["data"]["type"]) == ([updates, everything], "UPDATE")
            seen.append(change["data"]["record"]["version"])
            if change["data"]["record"]["status"] == "completed":
                break
        assert seen == sorted(set(seen))


@once
async def test_a_binding_of_inserts_alone_is_told_of_nothing_else(gateway: RunningGateway, ada: Person) -> None:
    before = await started(gateway, ada)
    async with channel_client(gateway.url) as client:
        await client.joined("new", [binding("INSERT")], gateway.token(ada.id))
        await progress(gateway, before, 10)
        assert await client.silent(), "what was there before the join is not new"
        request_id = await started(gateway, ada)
        assert (await client.change())["data"]["record"]["id"] == request_id
        await complete(gateway, request_id)
        assert await client.silent()


@once
async def test_a_new_request_whose_first_version_was_lost_is_still_inserted(
    settings: Settings, users_table: str
) -> None:
    async with running_gateway(settings.model_copy(update={"reconcile_seconds": 0.2})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        async with channel_client(gateway.url) as client:
            ids = await client.joined("new", [binding("INSERT"), binding("UPDATE")], gateway.token(ada.id))
            gateway.state.bus.publish = lambda update: None  # type: ignore[method-assign]
            request_id = await started(gateway, ada)
            inserted, updated = await client.change(), None
            if inserted["data"]["record"]["version"] > 1:
                updated = await client.change()
                assert updated["data"]["record"] == inserted["data"]["record"]
            assert (inserted["ids"], inserted["data"]["type"]) == ([ids[0]], "INSERT")
            assert inserted["data"]["record"]["id"] == request_id


async def test_the_snapshot_of_a_users_rows(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    finished, running, foreign = [await started(gateway, person) for person in (ada, ada, eve)]
    await complete(gateway, finished)
    for asked in (binding("*", f"user_id=eq.{ada.id}"), binding("UPDATE")):
        async with channel_client(gateway.url) as client:
            await client.joined("mine", [asked], gateway.token(ada.id))
            changes = [await client.change() for _ in range(2)]
            assert [change["data"]["record"]["id"] for change in changes] == [finished, running]
            assert {change["data"]["type"] for change in changes} == {"UPDATE"}
            await progress(gateway, foreign, 50)
            assert await client.silent()
