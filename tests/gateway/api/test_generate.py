"""`POST /api/ai-generate`, as the contract has it."""

import asyncio
from typing import Any

import pytest

from tests.people import People, Person, parsing_only
from tests.running import RunningGateway
from tests.scripted_n8n import ScriptedN8n


async def count(gateway: RunningGateway) -> int:
    return len(await gateway.state.database.all("SELECT id FROM ai_image_requests"))


async def test_a_submission_tells_what_is_left_of_the_hour(gateway: RunningGateway, ada: Person) -> None:
    answer = await gateway.submit(ada.id)
    assert answer.headers["RateLimit-Policy"] == '"hour";q=10;w=3600'
    assert answer.headers["RateLimit"] == '"hour";r=9;t=3600'
    assert answer.headers["Content-Type"] == "application/json"


BAD_BODIES: list[tuple[Any, str]] = [
    ({}, "Product and Brand are required"),
    ({"Product": "Shoes"}, "Product and Brand are required"),
    ({"Product": "Shoes", "Your Brand": "   "}, "Product and Brand are required"),
    ({"Product": None, "Your Brand": "Nike"}, "Product and Brand are required"),
    ({"Product": 7, "Your Brand": "Nike"}, "Product must be text."),
    ({"Product": ["Shoes"], "Your Brand": "Nike"}, "Product must be text."),
    ({"Product": "x" * 201, "Your Brand": "Nike"}, "Product must have at most 200 characters."),
    ({"Product": "Shoes", "Your Brand": "Ni\x00ke"}, "Your Brand must not contain control characters."),
    ({"Product": "Shoes\r\nX-Evil: 1", "Your Brand": "Nike"}, "Product must not contain control characters."),
    ({"Product": "Shoes", "Your Brand": "Nike", "organizationId": "acme"}, "organizationId must be a UUID."),
    ({"Product": "Shoes", "Your Brand": "Nike", "organizationId": 5}, "organizationId must be a UUID."),
    ([], "The body must be a JSON object."),
    ("Shoes", "The body must be a JSON object."),
]


@parsing_only
@pytest.mark.parametrize(("body", "error"), BAD_BODIES)
async def test_bad_bodies_change_nothing(gateway: RunningGateway, ada: Person, body: Any, error: str) -> None:
    answer = await gateway.http.post("/api/ai-generate", json=body, headers=gateway.bearer(ada.id))
    assert answer.status_code == 400
    assert answer.json()["error"] == error
    assert set(answer.json()) == {"error", "code"}
    assert await count(gateway) == 0


@parsing_only
@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b'{"Product": "\\ud800", "Your Brand": "x"}', b"[" * 50_000])
async def test_broken_json_is_refused(gateway: RunningGateway, ada: Person, raw: bytes) -> None:
    headers = {**gateway.bearer(ada.id), "Content-Type": "application/json"}
    answer = await gateway.http.post("/api/ai-generate", content=raw, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")
    assert await count(gateway) == 0


async def test_the_bounds_of_a_name(gateway: RunningGateway, ada: Person) -> None:
    request = await gateway.submit(ada.id, "  " + "x" * 200 + " ", "é")
    assert request.status_code == 202
    body = await gateway.body(ada.id, request.json()["requestId"])
    assert (body["product"], body["brand"]) == ("x" * 200, "é")


async def test_other_content_types_are_refused(gateway: RunningGateway, ada: Person) -> None:
    headers = {**gateway.bearer(ada.id), "Content-Type": "text/plain"}
    answer = await gateway.http.post("/api/ai-generate", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_has_a_bound(gateway: RunningGateway, ada: Person, declared: bool) -> None:
    def body(size: int) -> bytes:
        frame = b'{"Product":"Shoes","Your Brand":"Nike","more":""}'
        return frame.replace(b'""', b'"' + b"x" * (size - len(frame)) + b'"')

    async def streamed(content: bytes) -> Any:
        for start in range(0, len(content), 8192):
            yield content[start : start + 8192]

    headers = {**gateway.bearer(ada.id), "Content-Type": "application/json"}
    for size, status in ((64 * 1024, 202), (64 * 1024 + 1, 413)):
        content = body(size)
        assert len(content) == size
        sent: Any = content if declared else streamed(content)
        answer = await gateway.http.post("/api/ai-generate", content=sent, headers=headers)
        assert answer.status_code == status, answer.text
    assert await count(gateway) == 1


async def test_membership_is_needed(gateway: RunningGateway, people: People) -> None:
    nobody, both, ada = await people.person(0), await people.person(2), await people.person(1)
    answer = await gateway.submit(nobody.id)
    assert (answer.status_code, answer.json()["error"]) == (400, "No organization found for user")
    answer = await gateway.submit(both.id)
    assert (answer.status_code, answer.json()["code"]) == (400, "organization_required")
    named = {"Product": "Shoes", "Your Brand": "Nike", "organizationId": both.organizations[1].upper()}
    answer = await gateway.http.post("/api/ai-generate", json=named, headers=gateway.bearer(both.id))
    assert answer.status_code == 202
    answer = await gateway.http.post("/api/ai-generate", json=named, headers=gateway.bearer(ada.id))
    assert (answer.status_code, answer.json()["code"]) == (403, "not_a_member")
    assert await count(gateway) == 1


async def test_an_idempotency_key_makes_one_row_and_one_dispatch(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n
) -> None:
    key = {"Idempotency-Key": "k" * 255}
    answers = await asyncio.gather(*(gateway.submit(ada.id, **key) for _ in range(8)))
    contents = [answer.json() for answer in answers]
    assert all(answer.status_code == 202 for answer in answers)
    assert all(content == contents[0] for content in contents)
    await gateway.until(ada.id, contents[0]["requestId"], "processing")
    assert (await gateway.submit(ada.id, **key)).json() == contents[0], "the same answer, however far it has come"
    assert n8n.times(contents[0]["requestId"]) == 1
    other = await gateway.submit(ada.id, product="Boots", **key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    assert await count(gateway) == 1


@parsing_only
@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb"])
async def test_unusable_idempotency_keys_are_refused(gateway: RunningGateway, ada: Person, key: str) -> None:
    answer = await gateway.submit(ada.id, **{"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")


async def test_markup_in_names_is_only_text(gateway: RunningGateway, ada: Person) -> None:
    answer = await gateway.submit(ada.id, "<script>alert(1)</script>", "'; DROP TABLE assets; --")
    body = await gateway.body(ada.id, answer.json()["requestId"])
    assert (body["product"], body["brand"]) == ("<script>alert(1)</script>", "'; DROP TABLE assets; --")


async def test_the_trace_of_the_caller_goes_on(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = await gateway.submit(ada.id, traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    received = await n8n.until_received(answer.json()["requestId"])
    version, trace_id, parent, flags = received.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", trace, "01")
    assert parent != "00f067aa0ba902b7"


async def test_cross_origin_rules(gateway: RunningGateway) -> None:
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "Authorization, Idempotency-Key"}
    own = await gateway.http.options("/api/ai-generate", headers={"Origin": gateway.url, **ask})
    assert own.status_code == 200
    assert own.headers["Access-Control-Allow-Origin"] == gateway.url
    foreign = await gateway.http.options("/api/ai-generate", headers={"Origin": "https://evil.example", **ask})
    assert "Access-Control-Allow-Origin" not in foreign.headers
    answer = await gateway.http.get("/healthz", headers={"Origin": gateway.url})
    exposed = {name.strip() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
    assert exposed == {"ETag", "Location", "Retry-After", "RateLimit", "RateLimit-Policy"}


async def test_unknown_paths_and_methods_answer_in_the_same_form(gateway: RunningGateway) -> None:
    missing = await gateway.http.get("/api/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    wrong = await gateway.http.get("/api/ai-generate")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")


@parsing_only
async def test_a_user_who_was_deleted_while_their_token_is_good(gateway: RunningGateway, ada: Person) -> None:
    """Before: the foreign key made it a 500. (By a tool that leaves the memberships behind.)"""
    database = gateway.state.database
    writer = database._connections[0].raw_connection  # type: ignore[attr-defined]
    await writer.execute_fetchall("PRAGMA foreign_keys = OFF")
    await database.all("DELETE FROM auth_users WHERE id = :id", id=ada.id)
    await writer.execute_fetchall("PRAGMA foreign_keys = ON")
    answer = await gateway.submit(ada.id)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert await count(gateway) == 0
