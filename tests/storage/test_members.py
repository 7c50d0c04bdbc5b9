"""The app's own table of members: several rows for one organization, one for each role, are one membership."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from storage.costs import MAX_ORGANIZATIONS, Pricing
from storage.database.base import Database
from storage.errors import BudgetSpent, NotAMember, OrganizationRequired
from storage.submissions import Submission, Submitted, submit
from tests.conftest import People, Person
from tests.running import RunningGateway


@pytest.fixture
async def database(gateway: RunningGateway, backend: str) -> AsyncIterator[Database]:
    """That of an app whose members have a row for each role."""
    database = gateway.state.database
    if backend == "sqlite":
        await database.all("ALTER TABLE organization_members RENAME TO members_away")
        await database.all("CREATE TABLE organization_members (organization_id TEXT, user_id TEXT, role TEXT)")
        yield database
        return
    await database.all("ALTER TABLE organization_members DROP CONSTRAINT organization_members_pkey")
    await database.all("ALTER TABLE organization_members ALTER organization_id DROP NOT NULL")
    yield database
    await database.all("DELETE FROM organization_members")
    await database.all("ALTER TABLE organization_members ADD PRIMARY KEY (organization_id, user_id)")


async def add_role(database: Database, person: Person, organization_id: str | None, role: str) -> None:
    await database.all(
        "INSERT INTO organization_members (organization_id, user_id, role) VALUES (:organization_id, :user_id, :role)",
        organization_id=organization_id,
        user_id=person.id,
        role=role,
    )


async def take(
    database: Database, person: Person, organization_id: str | None = None, pricing: Pricing | None = None
) -> Submitted:
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike", organization_id=organization_id)
    return await submit(database, submission, quota=50, deadline_seconds=900, pricing=pricing or Pricing(None, None))


async def test_several_rows_for_one_organization_are_one(database: Database, people: People) -> None:
    ada = await people.person()
    (acme,) = ada.organizations
    for role in ("editor", "billing"):
        await add_role(database, ada, acme, role)
    for named in (None, acme):
        assert (await take(database, ada, named)).request.organization_id == acme


async def test_an_invitation_to_nowhere_is_no_organization(database: Database, people: People) -> None:
    ada = await people.person()
    await add_role(database, ada, None, "invited")
    assert (await take(database, ada)).request.organization_id == ada.organizations[0]


@pytest.mark.parametrize("is_named", [False, True])
async def test_the_budget_holds_for_whoever_has_several_rows(
    database: Database, people: People, is_named: bool
) -> None:
    ada = await people.person()
    (acme,) = ada.organizations
    await add_role(database, ada, acme, "billing")
    pricing, named = Pricing(Decimal("0.10"), Decimal("0.25")), acme if is_named else None
    for _ in range(2):
        await take(database, ada, named, pricing)
    with pytest.raises(BudgetSpent):
        await take(database, ada, named, pricing)


async def test_several_organizations_are_several_however_many_rows(database: Database, people: People) -> None:
    ada, eve = await people.person(2), await people.person()
    for one in ada.organizations:
        await add_role(database, ada, one, "billing")
    with pytest.raises(OrganizationRequired):
        await take(database, ada)
    for one in ada.organizations:
        assert (await take(database, ada, one)).request.organization_id == one
    with pytest.raises(NotAMember):
        await take(database, ada, eve.organizations[0])


async def test_each_organization_is_offered_once_and_by_name(
    gateway: RunningGateway, database: Database, people: People
) -> None:
    """However many rows the user has for one of them, the others are offered too."""
    ada = await people.person(2)
    for number in range(MAX_ORGANIZATIONS):
        await add_role(database, ada, min(ada.organizations), f"role {number}")
    await add_role(database, ada, None, "invited")
    refused = await gateway.submit(ada.id)
    assert (refused.status_code, refused.json()["code"]) == (400, "organization_required")
    assert "organizationId" in refused.json()["error"]
    assert "/api/usage" in refused.json()["error"], "it says where to find them"
    usage = (await gateway.http.get("/api/usage", headers=gateway.bearer(ada.id))).json()
    offered = [(one["organizationId"], one["name"]) for one in usage["organizations"]]
    assert offered == [(one, "Acme") for one in sorted(ada.organizations)]
    for one, _ in offered:
        named = {"Product": "Shoes", "Your Brand": "Nike", "organizationId": one}
        answer = await gateway.http.post("/api/ai-generate", json=named, headers=gateway.bearer(ada.id))
        assert answer.status_code == 202, answer.text
