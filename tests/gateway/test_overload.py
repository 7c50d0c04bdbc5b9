"""Overload: submissions and lists are shed first, what n8n reports is taken."""

import asyncio

import asyncpg
import pytest
from pydantic import SecretStr

from gateway.settings import Settings
from storage.database import timeouts
from tests.conftest import People
from tests.running import eventually, running_gateway
from tests.servers import Postgres

READERS, SUBMITTERS, REPORTS = 60, 20, 40


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_callbacks_are_taken_while_lists_and_submissions_are_shed(
    settings: Settings, postgres: Postgres, users_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: at three times the capacity 235 of 400 callbacks got 503, like everybody else."""
    monkeypatch.setattr(timeouts, "ACQUIRE_SECONDS", 0.5)
    url = postgres.url("shared")
    few = settings.model_copy(update={"database_url": SecretStr(f"{url}?max_size=3")})
    async with running_gateway(few) as gateway:
        people = People(gateway.state.database, users_table)
        owners = [await people.person() for _ in range(REPORTS // 10)]
        requests = [await gateway.submitted(owner.id) for owner in owners for _ in range(10)]
        others = [await people.person(organizations=0) for _ in range(SUBMITTERS)]
        reader = gateway.bearer(owners[0].id)
        tool = await asyncpg.connect(url)
        try:
            await tool.execute("BEGIN; LOCK TABLE assets, organization_members IN ACCESS EXCLUSIVE MODE")
            crowd = [
                *(asyncio.create_task(gateway.http.get("/api/assets", headers=reader)) for _ in range(READERS)),
                *(asyncio.create_task(gateway.submit(other.id)) for other in others),
            ]
            while not gateway.state.database._turns.locked():
                await asyncio.sleep(0.01)
            reports = [{"requestId": one, "status": "failed", "error": "x"} for one in requests]
            async with asyncio.timeout(5):
                taken = await asyncio.gather(*map(gateway.callback, reports))
            assert [answer.status_code for answer in taken] == [200] * REPORTS

            async def most_are_shed() -> bool:
                return sum(one.done() for one in crowd) >= len(crowd) - SUBMITTERS

            await eventually(most_are_shed)
            await tool.execute("ROLLBACK")
        finally:
            await tool.close()
        answers = await asyncio.gather(*crowd)
        shed = [answer for answer in answers if answer.status_code == 503]
        assert len(shed) >= READERS / 2
        assert all(answer.headers["Retry-After"] for answer in shed)
        assert {answer.status_code for answer in answers} <= {200, 400, 503}
        assert (await gateway.submit(others[0].id)).status_code == 400, "it is over: that user has no organization"
