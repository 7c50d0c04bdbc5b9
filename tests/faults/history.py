"""What clients saw, what was true, and the judge of both. Pure: no server, no clock."""

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Seen:
    """One Body that reached one client."""

    client: str
    user: str
    transport: str
    connection: int
    request_id: str
    version: int
    status: str
    at: float


@dataclass(frozen=True, slots=True)
class Truth:
    """One request as the database has it at the end."""

    request_id: str
    owner: str
    version: int
    status: str
    assets: int
    error_code: str | None = None
    marked: bool = True
    """Whether somebody was allowed to send it."""


@dataclass(slots=True)
class History:
    """One run.

    Attributes:
        seen: in the order in which each client saw it.
        accepted: request id → owner, for every 202.
        watching: client → the requests that it watched to the end.
        sent: request id → how often n8n received it.
        canceled: requests whose cancellation was answered with 200.
        truth: the database at the end.
        healed_at: when the last fault was over.
    """

    seen: list[Seen] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)
    watching: dict[str, set[str]] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    truth: dict[str, Truth] = field(default_factory=dict)
    healed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise: `rule` names it, `what` says where."""

    rule: str
    what: str


def judge(history: History, *, within: float) -> list[Violation]:
    """Every promise that `history` breaks.

    Args:
        history: the record of a run.
        within: seconds after the last fault in which every client must have seen the newest version.
    """
    return [
        *_backward(history),
        *_stale(history, within),
        *_foreign(history),
        *_assets(history),
        *_lost(history),
        *_sent_twice(history),
        *_canceled(history),
    ]


def _backward(history: History) -> list[Violation]:
    """For each client and request, versions never fall; within one connection they rise."""
    found = []
    last: dict[tuple[str, str], Seen] = {}
    for seen in history.seen:
        before = last.get((seen.client, seen.request_id))
        if before is not None:
            same_connection = before.connection == seen.connection
            if seen.version < before.version or (same_connection and seen.version == before.version):
                found.append(
                    Violation(
                        "backward", f"{seen.client} saw {seen.request_id} v{before.version}, then v{seen.version}"
                    )
                )
        last[(seen.client, seen.request_id)] = seen
    return found


def _stale(history: History, within: float) -> list[Violation]:
    """Every client has seen the newest version of what it watched, in time."""
    newest: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for seen in history.seen:
        newest[(seen.client, seen.request_id)].setdefault(seen.version, seen.at)
    found = []
    for client, watched in history.watching.items():
        for request_id in sorted(watched):
            truth = history.truth.get(request_id)
            if truth is None:
                continue  # reported as lost
            at = newest[(client, request_id)].get(truth.version)
            if at is None:
                found.append(Violation("stale", f"{client} never saw {request_id} v{truth.version}"))
            elif at > history.healed_at + within:
                late = at - history.healed_at
                found.append(
                    Violation("stale", f"{client} saw {request_id} v{truth.version} {late:.1f} s after the heal")
                )
    return found


def _foreign(history: History) -> list[Violation]:
    """Nobody sees what is another user's."""
    return [
        Violation("foreign", f"{seen.client} of {seen.user} saw {seen.request_id}")
        for seen in history.seen
        if (owner := history.accepted.get(seen.request_id)) is not None and owner != seen.user
    ]


def _assets(history: History) -> list[Violation]:
    """A completed request has one asset, any other none."""
    return [
        Violation("assets", f"{truth.request_id} is {truth.status} and has {truth.assets} assets")
        for truth in history.truth.values()
        if truth.assets != (1 if truth.status == "completed" else 0)
    ]


def _lost(history: History) -> list[Violation]:
    """What was accepted exists, and has come to an end."""
    found = []
    for request_id in history.accepted:
        truth = history.truth.get(request_id)
        if truth is None:
            found.append(Violation("lost", f"{request_id} was accepted and does not exist"))
        elif truth.status not in ("completed", "failed"):
            found.append(Violation("lost", f"{request_id} was accepted and is {truth.status} for ever"))
    return found


def _sent_twice(history: History) -> list[Violation]:
    """n8n gets no request twice."""
    return [
        Violation("sent twice", f"{request_id} reached n8n {times} times")
        for request_id, times in history.sent.items()
        if times > 1
    ]


def _canceled(history: History) -> list[Violation]:
    """A cancellation lasts unless a picture came, and what was canceled before it was sent never is."""
    found = []
    for request_id in sorted(history.canceled):
        truth = history.truth.get(request_id)
        if truth is None:
            continue  # reported as lost
        if truth.status != "completed" and truth.error_code != "canceled":
            found.append(Violation("canceled", f"{request_id} was canceled and is {truth.status}, {truth.error_code}"))
        if not truth.marked and history.sent.get(request_id):
            found.append(Violation("canceled", f"{request_id} was canceled before it was sent, and was sent"))
    return found


def seconds_until_whole(history: History) -> dict[str, float]:
    """For each transport: seconds from the last heal until its last client had seen every newest version."""
    whole: dict[str, float] = {}
    first: dict[tuple[str, str, int], Seen] = {}
    for seen in history.seen:
        first.setdefault((seen.client, seen.request_id, seen.version), seen)
    for seen in first.values():
        truth = history.truth.get(seen.request_id)
        if truth is not None and seen.version == truth.version:
            late = max(0.0, seen.at - history.healed_at)
            whole[seen.transport] = max(whole.get(seen.transport, 0.0), late)
    return whole
