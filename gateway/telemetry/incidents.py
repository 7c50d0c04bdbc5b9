"""Things that went wrong one by one, counted in memory and written together at each heartbeat.

Whoever can reach the callback can make it fail as often as they like: what they cause here is one number.
"""

from collections import Counter
from enum import StrEnum


class Incident(StrEnum):
    """What is counted. Each is an alert while it happens."""

    WRONG_SECRET = "callback_wrong_secret"  # noqa: S105 - the name of an incident
    UNKNOWN_REQUEST = "callback_unknown_request"
    CONTRADICTION = "callback_contradiction"
    REFUSED_REPORT = "callback_refused"
    DISPATCH_FAILED = "dispatch_failed"

    @property
    def sentence(self) -> str:
        """What it means, for people."""
        return _SENTENCES[self]


_SENTENCES = {
    Incident.WRONG_SECRET: "Callbacks come with a wrong secret. Does n8n have the current AI_CALLBACK_SECRET?",
    Incident.UNKNOWN_REQUEST: "Callbacks name requests that do not exist. Does another gateway share the workflow?",
    Incident.CONTRADICTION: "A request was completed twice, with two pictures. Was an execution run again in n8n?",
    Incident.REFUSED_REPORT: "Callbacks cannot be understood, or their Key lies outside STORAGE_BUCKETS.",
    Incident.DISPATCH_FAILED: "Requests cannot be handed to n8n. Is it running, and is the workflow active?",
}

CALLBACK_INCIDENTS = (
    Incident.WRONG_SECRET,
    Incident.UNKNOWN_REQUEST,
    Incident.CONTRADICTION,
    Incident.REFUSED_REPORT,
)


class Incidents:
    """What happened since the last heartbeat."""

    def __init__(self) -> None:
        self._counted: Counter[Incident] = Counter()

    def count(self, incident: Incident) -> None:
        """Count one more."""
        self._counted[incident] += 1

    def drain(self) -> dict[Incident, int]:
        """What is to be written; nothing is left."""
        drained, self._counted = self._counted, Counter()
        return dict(drained)

    def restore(self, drained: dict[Incident, int]) -> None:
        """Count again what could not be written."""
        self._counted.update(drained)
