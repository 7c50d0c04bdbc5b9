"""A local receiver of alerts, and the parts of one process, which run when a test says so."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from gateway.alerting.heartbeat import Heartbeat
from gateway.alerting.monitor import AlertMonitor
from gateway.alerting.notifier import Notifier
from gateway.settings import Settings
from tests.alert_receiver import AlertReceiver, alert_receiver
from tests.alerting import Alerting, alerting_beside
from tests.running import RunningGateway


@pytest.fixture
async def receiver() -> AsyncIterator[AlertReceiver]:
    async with alert_receiver() as made:
        yield made


@pytest.fixture
def settings(settings: Settings, receiver: AlertReceiver, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The gateway's own loops rest; each test runs its parts itself, and depends on nobody's pace."""
    for part in (Heartbeat, AlertMonitor, Notifier):
        monkeypatch.setattr(part, "run", lambda _: asyncio.sleep(0))
    return settings.model_copy(update={"alert_webhook_url": SecretStr(receiver.url)})


@pytest.fixture
async def process(gateway: RunningGateway) -> AsyncIterator[Alerting]:
    """The parts of one process."""
    async with alerting_beside(gateway) as made:
        yield made
