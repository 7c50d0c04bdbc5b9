"""Money: reserved with the submission, settled or released with the end, exact, and never over the budget."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from gateway.settings import Settings
from storage import costs
from storage.database.base import Database
from storage.errors import BudgetSpent
from storage.submissions import Submission, submit
from tests.people import People, Person
from tests.running import RunningGateway

DONE = {"status": "completed", "Key": "b/a.png", "Id": "1"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={
            "ai_generation_cost": Decimal("0.10"),
            "ai_org_monthly_budget": Decimal("0.30"),
            "ai_generation_rate_limit_per_hour": 1000,
        }
    )


async def committed(gateway: RunningGateway, person: Person) -> str:
    answer = await gateway.http.get("/api/usage", headers=gateway.bearer(person.id))
    assert answer.status_code == 200, answer.text
    (organization,) = answer.json()["organizations"]
    return str(organization["committed"])


async def ended(gateway: RunningGateway, request_id: str, **news: Any) -> None:
    answer = await gateway.callback({"requestId": request_id, **news})
    assert answer.json() == {"success": True}, answer.text


async def test_reserved_settled_and_released(gateway: RunningGateway, ada: Person) -> None:
    first, second, third = [await gateway.submitted(ada.id) for _ in range(3)]
    assert (await gateway.body(ada.id, first))["cost"] is None, "null until settled"
    assert Decimal(await committed(gateway, ada)) == Decimal("0.30")
    await ended(gateway, first, **DONE)
    assert (await gateway.body(ada.id, first))["cost"] == "0.10"
    await ended(gateway, second, status="failed", error="x")
    assert (await gateway.body(ada.id, second))["cost"] is None
    assert Decimal(await committed(gateway, ada)) == Decimal("0.20"), "a failure releases what it had reserved"
    await ended(gateway, third, **DONE, cost="0.123456789012")
    assert (await gateway.body(ada.id, third))["cost"] == "0.123456789012", "a callback's own cost wins"
    assert await committed(gateway, ada) == "0.223456789012", "to the last digit"


async def test_a_late_picture_is_paid_for_after_all(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    await ended(gateway, request_id, status="failed", error="x")
    assert Decimal(await committed(gateway, ada)) == 0
    await ended(gateway, request_id, **DONE)
    assert (await gateway.body(ada.id, request_id))["cost"] == "0.10"
    assert Decimal(await committed(gateway, ada)) == Decimal("0.10")


async def test_a_failure_may_cost_too(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    await ended(gateway, request_id, status="failed", error="x", cost=0.02)
    assert (await gateway.body(ada.id, request_id))["cost"] == "0.02"
    assert Decimal(await committed(gateway, ada)) == Decimal("0.02")


async def test_tenths_are_tenths(gateway: RunningGateway, ada: Person) -> None:
    """0.1 + 0.2 is 0.3, on both databases."""
    for cost in ("0.1", "0.2"):
        await ended(gateway, await gateway.submitted(ada.id), **DONE | {"cost": cost})
    assert await committed(gateway, ada) == "0.3"
    refused = await gateway.submit(ada.id)
    assert refused.status_code == 402


async def test_over_the_budget(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    answers = [await gateway.submit(ada.id) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 402]
    refused = answers[-1]
    assert refused.json()["code"] == "budget_spent"
    assert "renews on 1 " in refused.json()["error"]
    assert 0 < int(refused.headers["Retry-After"]) <= 31 * 24 * 3600
    assert (await gateway.submit(eve.id)).status_code == 202, "another organization has its own"
    rows = await gateway.state.database.all("SELECT id FROM ai_image_requests WHERE user_id = :id", id=ada.id)
    assert len(rows) == 3


async def test_last_months_requests_do_not_count(gateway: RunningGateway, ada: Person) -> None:
    for _ in range(3):
        await gateway.submitted(ada.id)
    await gateway.state.database.all("UPDATE ai_image_requests SET created_at = AFTER(:seconds)", seconds=-32 * 86400.0)
    assert Decimal(await committed(gateway, ada)) == 0
    assert (await gateway.submit(ada.id)).status_code == 202


async def test_concurrent_submissions_cannot_overrun_it(database: Database, users_table: str) -> None:
    """Twenty members of one organization at once, with room for seven."""
    people = People(database, users_table)
    first = await people.person()
    members = [first, *[await people.person() for _ in range(19)]]
    for member in members[1:]:
        await database.all(
            "UPDATE organization_members SET organization_id = :organization WHERE user_id = :user",
            organization=first.organizations[0],
            user=member.id,
        )
    pricing = costs.Pricing(Decimal("0.14"), Decimal("1.00"))

    async def attempt(person: Person) -> bool:
        try:
            await submit(
                database,
                Submission(user_id=person.id, product="Shoes", brand="Nike"),
                quota=10,
                deadline_seconds=900,
                pricing=pricing,
            )
        except BudgetSpent:
            return False
        return True

    taken = await asyncio.gather(*(attempt(member) for member in members for _ in range(2)))
    assert sum(taken) == 7
    sums = await costs.committed_by_organization(database, first.id)
    assert sums == {first.organizations[0]: Decimal("0.98")}


async def test_a_repeated_key_costs_once(gateway: RunningGateway, ada: Person) -> None:
    headers = {"Idempotency-Key": "once"}
    answers = [await gateway.submit(ada.id, **headers) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {202}
    assert Decimal(await committed(gateway, ada)) == Decimal("0.10")


@pytest.mark.parametrize("cost", ["NaN", "Infinity", "-Infinity", f"1{'0' * 400}"])
async def test_a_cost_that_is_no_amount_costs_its_organization_nothing(
    gateway: RunningGateway, ada: Person, cost: str
) -> None:
    """Another tool wrote it. Before, every submission of the organization was a 500, and pages showed "NaN"."""
    request_id = await gateway.submitted(ada.id)
    await ended(gateway, request_id, **DONE)
    update = "UPDATE ai_image_requests SET cost = CAST(:cost AS text) WHERE id = :id"
    if gateway.settings.database_url.get_secret_value().startswith("postgres"):
        update = update.replace("AS text)", "AS text)::numeric")
    await gateway.state.database.all(update, id=request_id, cost=cost)
    assert [(await gateway.submit(ada.id)).status_code for _ in range(4)] == [202, 202, 202, 402], "its budget holds"
    assert Decimal(await committed(gateway, ada)) == Decimal("0.30")
    assert (await gateway.body(ada.id, request_id))["cost"] is None
    admin = {"Authorization": f"Bearer {gateway.token(ada.id, admin=True)}"}
    for path in ("/api/usage", "/api/ai-requests", "/api/admin/stats", f"/api/admin/requests/{request_id}"):
        answer = await gateway.http.get(path, headers=admin)
        assert answer.status_code == 200, (path, answer.text)
        assert not any(word in answer.text for word in ("NaN", "nfinity", "0" * 100)), path
