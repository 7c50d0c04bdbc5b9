"""Incidents: counted in memory, drained whole, and counted again when they could not be written."""

import pytest

from gateway.telemetry.incidents import CALLBACK_INCIDENTS, Incident, Incidents


def test_what_is_taken_is_taken_once() -> None:
    incidents = Incidents()
    for incident in (Incident.WRONG_SECRET, Incident.DISPATCH_FAILED, Incident.WRONG_SECRET):
        incidents.count(incident)
    assert incidents.drain() == {Incident.WRONG_SECRET: 2, Incident.DISPATCH_FAILED: 1}
    assert incidents.drain() == {}


def test_what_could_not_be_written_adds_to_what_came_meanwhile() -> None:
    incidents = Incidents()
    incidents.count(Incident.CONTRADICTION)
    drained = incidents.drain()
    incidents.count(Incident.CONTRADICTION)
    incidents.restore(drained)
    assert incidents.drain() == {Incident.CONTRADICTION: 2}


@pytest.mark.parametrize("incident", Incident)
def test_each_has_a_sentence_and_a_side(incident: Incident) -> None:
    assert incident.sentence.endswith((".", "?"))
    assert (incident in CALLBACK_INCIDENTS) == incident.startswith("callback_")
