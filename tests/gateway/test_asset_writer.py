"""The asset writer and its alert, from the callback to the library."""

import pytest

from gateway import asset_writer
from gateway.asset_writer import AssetWriter
from storage import alerts
from tests.alerting import alerting_beside, pass_resolve_time
from tests.conftest import Person
from tests.running import RunningGateway, eventually

COMPLETED = {"status": "completed", "Key": "ai-images/a.png", "Id": "a"}


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asset_writer, "INTERVAL_SECONDS", 0.05)


async def test_a_callback_that_the_library_refuses(gateway: RunningGateway, ada: Person) -> None:
    """Before: 500 to n8n, five times."""
    database = gateway.state.database
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    await database.all("ALTER TABLE assets ADD COLUMN folder text CHECK (folder IS NOT NULL)")
    try:
        answer = await gateway.callback({"requestId": request_id, **COMPLETED})
        assert (answer.status_code, answer.json()) == (200, {"success": True})
        assert (await gateway.body(ada.id, request_id))["status"] == "completed"
        async with alerting_beside(gateway) as process:
            await process.observe()
            (alert,) = await alerts.recent_alerts(database, 60, 10)
            assert alert.name == "assets_refused"
            assert "folder" in alert.summary
            assert "1 picture(s)" in alert.summary
    finally:
        await database.all("ALTER TABLE assets DROP COLUMN folder")
    await database.all("UPDATE ai_gateway_owed_assets SET due_at = NOW()")

    async def written() -> bool:
        return len(await database.all("SELECT id FROM assets")) == 1

    await eventually(written)
    async with alerting_beside(gateway) as process:
        await pass_resolve_time(gateway)
        await process.observe()
        (alert,) = await alerts.recent_alerts(database, 3600, 10)
        assert alert.ended_at is not None
    assert await AssetWriter(database).write_due() == 0
