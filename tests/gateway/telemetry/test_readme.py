"""The page for the person on call names every metric, alert, rule and probe that there is, and its links lead on."""

import re
from pathlib import Path

import yaml

from gateway.alerting.database_outage import DATABASE_AWAY
from gateway.alerting.monitor import ASSETS_REFUSED, BUS_AWAY, STUCK_REQUESTS
from gateway.api import health
from gateway.telemetry import metrics
from gateway.telemetry.incidents import Incident

FOLDER = Path(metrics.__file__).parent
PAGE = (FOLDER / "README.md").read_text()


def table(heading: str, first: str) -> dict[str, list[str]]:
    """The rows of the table under `heading` whose first column is called `first`, by what is quoted in that column."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.search(rf"^\| {first} \|.*\n\| -.*\n((?:\|.*\n)+)", section, re.MULTILINE)
    assert found is not None, heading
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]
    return {re.findall(r"`([^`]+)`", row[0])[0]: row[1:] for row in cells}


def test_every_metric_with_its_type() -> None:
    exposed = {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in metrics.REGISTRY.collect()
    }
    assert {name: row[0] for name, row in table("Metrics", "metric").items()} == exposed


def test_every_alert_and_what_to_do() -> None:
    names = {DATABASE_AWAY, BUS_AWAY, STUCK_REQUESTS, ASSETS_REFUSED, *map(str, Incident)}
    assert set(table("Alerts", "alert")) == names
    for name in names:
        assert re.search(rf"^### `{name}`\n\n\*[A-Z`]", PAGE, re.MULTILINE), name


def test_every_rule() -> None:
    rules = yaml.safe_load((FOLDER / "prometheus_rules.yml").read_text())["groups"][0]["rules"]
    assert set(table("Prometheus rules", "rule")) == {rule["alert"] for rule in rules}


def test_every_probe() -> None:
    assert set(table("Probes", "path")) == {route.path for route in health.routes()} | {"/metrics"}


def test_links_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert links
    for link in links:
        assert link[1:] in anchors if link.startswith("#") else (FOLDER / link).exists(), link
