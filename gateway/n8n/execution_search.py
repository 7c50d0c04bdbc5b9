"""A search of n8n's executions for those of our requests: what is looked up, what is listed, and what was found.

Without I/O: `executions.Executions` lists and fetches.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.n8n.execution_data import UNFINISHED
from gateway.n8n.reports import Completed, Failed

CLOCKS_APART = timedelta(seconds=60)
"""Difference forgiven between n8n's clock and the database's."""

_OTHER_MODES = frozenset({"trigger", "error", "cli", "internal", "integrated", "evaluation", "chat"})
"""How executions begin that no POST to a webhook began."""


@dataclass(frozen=True, slots=True)
class Running:
    """n8n works on it."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class Ended:
    """It is over; `report` is what the callback would have said."""

    execution_id: str
    report: Completed | Failed | None
    """None: it went well, and left no picture."""


Finding = Running | Ended


@dataclass(frozen=True, slots=True)
class Lookup:
    """What became of this request?"""

    request_id: str
    execution_id: str | None
    """n8n's number for it, if it is known."""
    sent_at: datetime
    """When the request was sent, by the database's clock."""
    overdue: bool = False
    """Whether the answer decides: then n8n's number alone is not believed, for n8n may have numbered anew."""


@dataclass(frozen=True, slots=True)
class Summary:
    """An execution as it is listed."""

    id: str
    status: str
    began_at: datetime | None
    workflow_id: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """What was once read of an execution."""

    status: str
    owner: str | None
    """The request whose POST it took; None if it is none of ours."""
    finding: Finding | None
    is_clear: bool = True
    """False: its data could not be read, or does not hold yet what its webhook took."""


class Search:
    """One search: the lookups, what is listed, and what has been found."""

    def __init__(self, lookups: dict[str, Lookup], until: float) -> None:
        self.lookups = lookups
        self.until = until
        """When it must end (`time.monotonic`)."""
        self.listed: dict[str, Summary] = {}
        self.is_complete = True
        """Whether no execution has been left out: only then does finding none prove that there is none."""
        self._numbers: set[int] = set()
        self._older = 0
        """The highest number of an execution that began before all of our POSTs."""
        self._since = min((lookup.sent_at for lookup in lookups.values()), default=datetime.now(UTC)) - CLOCKS_APART
        self._found: dict[str, Finding] = {}

    def add(self, executions: list[dict[str, Any]]) -> bool:
        """Add a page of the listing; whether what follows began before all of our POSTs."""
        for execution in executions:
            summary = summary_of(execution)
            number = int(summary.id) if summary.id.isascii() and summary.id.isdigit() else 0
            if summary.began_at is not None and summary.began_at < self._since:
                self._older = max(self._older, number)
                return True
            self._numbers.add(number)
            if execution.get("mode") not in _OTHER_MODES:
                self.listed[summary.id] = summary  # the last status that was listed counts
        return False

    @property
    def newest(self) -> int:
        """The highest number that is listed; 0 where nothing is."""
        return max(self._older, *self._numbers, 0)

    @property
    def has_gap(self) -> bool:
        """Whether the listing leaves out a number below its newest that may have been given since our first POST.

        That execution waits for a worker, or may not be seen with this key, or was deleted: n8n may be told not to
        keep what ended well. It may be ours, and a 404 at its number says nothing else.
        """
        oldest = self._older or min(self._numbers, default=0)
        return sum(number > oldest for number in self._numbers) < self.newest - oldest

    def candidates(self, workflows: set[str]) -> list[Summary]:
        """What is listed, the likeliest first."""
        named = {lookup.execution_id for lookup in self.lookups.values()}
        sent = [lookup.sent_at for lookup in self.lookups.values()]

        def unlikeliness(summary: Summary) -> tuple[bool, bool, timedelta]:
            began_at = summary.began_at
            apart = timedelta() if began_at is None else min(abs(began_at - moment) for moment in sent)
            return summary.id not in named, summary.workflow_id not in workflows, apart

        return sorted(self.listed.values(), key=unlikeliness)

    @property
    def is_answered(self) -> bool:
        """Whether there is nothing better to be found."""
        return len(self._found) == len(self.lookups) and all(map(has_picture, self._found.values()))

    def take_by_number(self, summary: Summary) -> bool:
        """Whether n8n's number says enough: that one works on a request which has time."""
        if summary.status not in UNFINISHED:
            return False
        of = [lookup for lookup in self.lookups.values() if lookup.execution_id == summary.id]
        if not of or any(lookup.overdue for lookup in of):
            return False
        for lookup in of:
            self._found.setdefault(lookup.request_id, Running(summary.id))
        return True

    def take(self, known: Known | None) -> None:
        """Count what an execution says."""
        if known is None or not known.is_clear:
            self.is_complete = False
        if known is None or known.owner not in self.lookups or known.finding is None:
            return
        # n8n lets people run an execution again: a picture counts most, then a run that may still bring one.
        before = self._found.get(known.owner)
        if has_picture(known.finding) or not (has_picture(before) or isinstance(before, Running)):
            self._found[known.owner] = known.finding

    def findings(self) -> dict[str, Finding | None]:
        """What was found; where nothing was, None if that proves something."""
        none: dict[str, Finding | None] = dict.fromkeys(self.lookups) if self.is_complete else {}
        return none | self._found


def has_picture(finding: Finding | None) -> bool:
    return isinstance(finding, Ended) and isinstance(finding.report, Completed)


def summary_of(execution: dict[str, Any]) -> Summary:
    started = execution.get("startedAt")  # what waits for a place has not begun: it may be ours
    began_at = datetime.fromisoformat(started) if started else None
    if began_at is not None and began_at.tzinfo is None:
        began_at = began_at.replace(tzinfo=UTC)
    workflow_id = execution.get("workflowId")
    return Summary(
        str(execution["id"]), str(execution.get("status")), began_at, None if workflow_id is None else str(workflow_id)
    )
