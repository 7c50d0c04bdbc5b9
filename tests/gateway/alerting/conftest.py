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
from tests.alerting import Alerting
from tests.running import RunningGateway


@pytest.fixture
async def receiver() -> AsyncIterator[AlertReceiver]:
    async with alert_receiver() as made:
        yield made


@pytest.fixture
def settings(settings: Settings, receiver: AlertReceiver) -> Settings:
    return settings.model_copy(update={"alert_webhook_url": SecretStr(receiver.url)})


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gateway's own loops rest: the test depends on nobody's pace."""
    for part in (Heartbeat, AlertMonitor, Notifier):
        monkeypatch.setattr(part, "run", lambda _: asyncio.sleep(0))


@pytest.fixture
async def process(at_rest: None, gateway: RunningGateway) -> AsyncIterator[Alerting]:
    """The parts of one process."""
    made = Alerting.of(gateway)
    yield made
    await made.heartbeat.stop()
