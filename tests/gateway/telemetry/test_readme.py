"""The page for the person on call names every metric, alert, rule and probe that there is."""

import re
from pathlib import Path

import yaml

from gateway.alerting.database_outage import DATABASE_AWAY
from gateway.alerting.monitor import ASSETS_REFUSED, BUS_AWAY, STUCK_REQUESTS
from gateway.api import health
from gateway.telemetry import metrics
from gateway.telemetry.incidents import Incident
from tests.markdown import table

FOLDER = Path(metrics.__file__).parent
PAGE = (FOLDER / "README.md").read_text()


def quoted(heading: str, first: str) -> dict[str, list[str]]:
    """The rows of a table by what is quoted in their first column."""
    rows = table(FOLDER / "README.md", heading, first)
    return {re.findall(r"`([^`]+)`", name)[0]: row for name, row in rows.items()}


def test_every_metric_with_its_type() -> None:
    exposed = {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in metrics.REGISTRY.collect()
    }
    assert {name: row[0] for name, row in quoted("Metrics", "metric").items()} == exposed


def test_every_alert_and_what_to_do() -> None:
    names = {DATABASE_AWAY, BUS_AWAY, STUCK_REQUESTS, ASSETS_REFUSED, *map(str, Incident)}
    assert set(quoted("Alerts", "alert")) == names
    for name in names:
        assert re.search(rf"^### `{name}`\n\n\*[A-Z`]", PAGE, re.MULTILINE), name


def test_every_rule() -> None:
    rules = yaml.safe_load((FOLDER / "prometheus_rules.yml").read_text())["groups"][0]["rules"]
    assert set(quoted("Prometheus rules", "rule")) == {rule["alert"] for rule in rules}


def test_every_probe() -> None:
    assert set(quoted("Probes", "path")) == {route.path for route in health.routes()} | {"/metrics"}
