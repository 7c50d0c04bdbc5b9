"""Where pictures may lie, and how those in private buckets are shown."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from gateway import signed_urls
from gateway.settings import Settings
from tests.people import People, Person, parsing_only
from tests.running import RunningGateway, eventually, running_gateway
from tests.scripted_n8n import ScriptedN8n
from tests.supabase import SERVICE_KEY, SupabaseProject, supabase_project

KEY = "private/my shoes/é 1.png"


@pytest.fixture
async def project() -> AsyncIterator[SupabaseProject]:
    async with supabase_project() as running:
        running.objects.add(KEY)
        yield running


@pytest.fixture
def settings(settings: Settings, project: SupabaseProject) -> Settings:
    return settings.model_copy(
        update={
            "supabase_url": project.url,
            "storage_buckets": ("public",),
            "storage_private_buckets": ("private",),
            "supabase_service_role_key": Settings.load(
                {"supabase_service_role_key": SERVICE_KEY}
            ).supabase_service_role_key,
        }
    )


async def completed(gateway: RunningGateway, person: Person, key: str) -> dict[str, Any]:
    request_id = await gateway.submitted(person.id)
    answer = await gateway.callback({"requestId": request_id, "status": "completed", "Key": key, "Id": "1"})
    assert answer.json() == {"success": True}, answer.text
    return await gateway.body(person.id, request_id)


async def test_a_public_bucket_is_shown_by_the_object_store(
    gateway: RunningGateway, ada: Person, project: SupabaseProject
) -> None:
    body = await completed(gateway, ada, "public/a b.png")
    assert body["publicUrl"] == f"{project.url}/storage/v1/object/public/public/a%20b.png"


async def test_a_private_bucket_is_shown_by_a_stable_url_that_leads_to_a_fresh_one(
    gateway: RunningGateway, ada: Person, project: SupabaseProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = await completed(gateway, ada, KEY)
    assert body["publicUrl"].startswith(f"{gateway.url}/api/ai-images/{body['requestId']}/")
    assert (await gateway.body(ada.id, body["requestId"]))["publicUrl"] == body["publicUrl"]
    (asset,) = await gateway.state.database.all("SELECT file_url FROM assets")
    assert asset["file_url"] == body["publicUrl"]

    first = await gateway.http.get(body["publicUrl"])  # as an <img> does: without a token
    assert first.status_code == 302
    assert first.headers["Cache-Control"].startswith("private, max-age=")
    shown = await gateway.http.get(first.headers["Location"])
    assert (shown.status_code, shown.content) == (200, b"\x89PNG")
    again = await gateway.http.get(body["publicUrl"])
    assert again.headers["Location"] == first.headers["Location"], "signed once for many views"
    monkeypatch.setattr(signed_urls, "REUSE_SECONDS", 0.0)
    later = await gateway.http.get(body["publicUrl"])
    assert later.headers["Location"] != first.headers["Location"]
    assert {headers["authorization"] for _, headers in project.signed} == {f"Bearer {SERVICE_KEY}"}
    assert SERVICE_KEY not in first.text + first.headers["Location"]


async def test_the_stable_url_cannot_be_guessed(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    body = await completed(gateway, ada, KEY)
    other = await completed(gateway, eve, KEY)
    token, others = (made["publicUrl"].rpartition("/")[2] for made in (body, other))
    assert len(set(token)) > 8
    for guess in ("", "x", token[:-1], others, token.upper(), "%00", "é"):
        answer = await gateway.http.get(f"/api/ai-images/{body['requestId']}/{guess}")
        assert answer.status_code == 404, guess
    assert (await gateway.http.get(f"/api/ai-images/not-an-id/{token}")).status_code == 404


async def test_what_is_not_completed_or_not_private_has_no_picture_there(gateway: RunningGateway, ada: Person) -> None:
    database = gateway.state.database
    waiting = await gateway.submitted(ada.id)
    public = (await completed(gateway, ada, "public/a.png"))["requestId"]
    for request_id in (waiting, public):
        row = await database.one("SELECT picture_token FROM ai_image_requests WHERE id = :id", id=request_id)
        assert row is not None
        answer = await gateway.http.get(f"/api/ai-images/{request_id}/{row['picture_token']}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


STORAGE_ANSWERS = [
    (PlainTextResponse("away", 503), 503),
    (PlainTextResponse("<html>", 200), 503),
    (JSONResponse([1]), 503),
    (JSONResponse({"signedURL": "https://evil.example/x"}), 503),
    (JSONResponse({"signedURL": "//evil.example/object/sign/"}), 503),
    (JSONResponse({"signedURL": "/render/image/sign/a/b.png?token=x"}), 503),
    (JSONResponse({"message": "jwt expired", "statusCode": "403"}, 400), 503),
    (JSONResponse({"message": "Object not found", "statusCode": "404"}, 400), 404),
    (JSONResponse({"message": "Object not found"}, 404), 404),
]


@parsing_only
@pytest.mark.parametrize(("answer", "status"), STORAGE_ANSWERS)
async def test_what_storage_may_answer(
    gateway: RunningGateway, ada: Person, project: SupabaseProject, answer: Response, status: int
) -> None:
    body = await completed(gateway, ada, KEY)
    project.storage_answer = answer
    got = await gateway.http.get(body["publicUrl"])
    assert got.status_code == status
    assert "evil" not in got.headers.get("Location", "")
    project.storage_answer = None
    assert (await gateway.http.get(body["publicUrl"])).status_code == 302, "and it is not remembered"


def with_thumbnails(gateway: RunningGateway) -> None:
    gateway.state.settings = gateway.state.settings.model_copy(update={"storage_thumbnails": True})


async def test_a_thumbnail_is_signed_apart_and_remembered_apart(
    gateway: RunningGateway, ada: Person, project: SupabaseProject
) -> None:
    project.transforms = True
    with_thumbnails(gateway)
    url = (await completed(gateway, ada, KEY))["publicUrl"]
    whole = (await gateway.http.get(url)).headers["Location"]
    small = (await gateway.http.get(f"{url}?size=small")).headers["Location"]
    assert "/storage/v1/object/sign/private/" in whole
    assert "/storage/v1/render/image/sign/private/" in small
    assert project.variants == [{"width": 320, "height": 400, "resize": "cover"}]
    assert (await gateway.http.get(f"{url}?size=small")).headers["Location"] == small
    assert (await gateway.http.get(url)).headers["Location"] == whole
    assert len(project.signed) == 2


async def test_without_transformations_a_thumbnail_is_the_picture(
    gateway: RunningGateway, ada: Person, project: SupabaseProject
) -> None:
    url = (await completed(gateway, ada, KEY))["publicUrl"]
    whole = (await gateway.http.get(url)).headers["Location"]
    assert (await gateway.http.get(f"{url}?size=small")).headers["Location"] == whole
    assert project.variants == [], "the setting is off: nothing that is billed is asked for"
    with_thumbnails(gateway)  # a project that has none signs the picture
    answer = await gateway.http.get(f"{url}?size=small")
    assert (answer.status_code, "/object/sign/private/" in answer.headers["Location"]) == (302, True)


async def test_there_is_one_size_besides_the_picture_s(gateway: RunningGateway, ada: Person) -> None:
    url = (await completed(gateway, ada, KEY))["publicUrl"]
    for size in ("huge", "320", "small%00", "SMALL"):
        answer = await gateway.http.get(f"{url}?size={size}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter"), size


async def test_many_who_look_at_once_ask_storage_once(
    gateway: RunningGateway, ada: Person, project: SupabaseProject
) -> None:
    body = await completed(gateway, ada, KEY)
    answers = await asyncio.gather(*(gateway.http.get(body["publicUrl"]) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {302}
    assert len(project.signed) == 1


async def test_a_dripping_storage_holds_no_turn_for_ever(
    gateway: RunningGateway, ada: Person, project: SupabaseProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed_urls, "SIGN_SECONDS", 0.5)

    async def dripping() -> AsyncIterator[bytes]:
        for _ in range(600):
            yield b" "
            await asyncio.sleep(0.05)

    body = await completed(gateway, ada, KEY)
    project.storage_answer = StreamingResponse(dripping())
    assert (await gateway.http.get(body["publicUrl"])).status_code == 503
    assert gateway.state.signed_urls._turns._value == signed_urls.CONCURRENCY
    project.storage_answer = None
    assert (await gateway.http.get(body["publicUrl"])).status_code == 302


async def test_what_waits_to_be_signed_is_bounded(
    gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed_urls, "MAX_SIGNING", 0)
    body = await completed(gateway, ada, KEY)
    assert (await gateway.http.get(body["publicUrl"])).status_code == 503


async def test_remembered_urls_are_bounded(
    gateway: RunningGateway, ada: Person, project: SupabaseProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed_urls, "MAX_REMEMBERED", 2)
    keys = [f"private/{number}.png" for number in range(4)]
    project.objects.update(keys)
    for key in keys:
        assert (await gateway.http.get((await completed(gateway, ada, key))["publicUrl"])).status_code == 302
    assert [key for key, _ in gateway.state.signed_urls._remembered] == keys[-2:]


REFUSED = [
    ("other/a.png", "bucket_not_allowed"),
    ("Public/a.png", "bucket_not_allowed"),
    ("public", "invalid_key"),
    ("public/", "invalid_key"),
    ("/public/a.png", "invalid_key"),
    ("public/../other/a.png", "invalid_key"),
    ("public/./a.png", "invalid_key"),
]


@parsing_only
@pytest.mark.parametrize(("key", "code"), REFUSED)
async def test_a_key_outside_the_allowed_buckets_is_refused(
    gateway: RunningGateway, ada: Person, key: str, code: str
) -> None:
    request_id = await gateway.submitted(ada.id)
    answer = await gateway.callback({"requestId": request_id, "status": "completed", "Key": key, "Id": "1"})
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await gateway.body(ada.id, request_id))["status"] != "completed"
    assert await gateway.state.database.all("SELECT id FROM assets") == []


async def test_a_synchronous_answer_outside_them_fails_at_once(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n
) -> None:
    n8n.answers(JSONResponse({"Key": "other/a.png", "Id": "1"}))
    request_id = await gateway.submitted(ada.id)
    body = await gateway.until(ada.id, request_id, "failed")
    assert body["errorCode"] == "generation_failed"
    assert "STORAGE_BUCKETS" in body["errorMessage"]


async def test_any_bucket_will_do_when_none_is_named(settings: Settings, users_table: str) -> None:
    settings = settings.model_copy(update={"storage_buckets": (), "storage_private_buckets": ()})
    async with running_gateway(settings, worker=False) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        body = await completed(gateway, ada, "anything/a.png")
        assert body["publicUrl"].endswith("/storage/v1/object/public/anything/a.png")


@pytest.mark.parametrize("table_of_another_tool", ["ai_image_requests"])
async def test_rows_of_other_tools_have_a_token_too(
    gateway: RunningGateway, ada: Person, table_of_another_tool: str
) -> None:
    await gateway.state.database.all(
        f"INSERT INTO {table_of_another_tool} (user_id, organization_id, product, brand) "
        "VALUES (:user_id, :organization_id, 'Shoes', 'Nike')",
        user_id=ada.id,
        organization_id=ada.organizations[0],
    )

    async def token() -> Any:
        row = await gateway.state.database.one("SELECT picture_token FROM ai_image_requests")
        return None if row is None else row["picture_token"]

    assert len(str(await eventually(token))) == 36
