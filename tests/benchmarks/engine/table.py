"""The results as a table in Markdown: each peer beside the gateway, as a number and as a ratio to it."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.engine.peers import LABELS
from tests.benchmarks.engine.results import Result

IDLE_ENOUGH = 0.05
"""Share of the time in which the load client must have had nothing to do; below it, it measured itself."""

OTHERS = 0.05
"""Share of both cores that somebody else may use before a result is in doubt."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A line of the table.

    Args:
        row: whose result it is.
        title: with its unit; a variant is put behind it.
        key: which value.
        scale: what it is divided by.
        digits: after the point.
        goal: the project's own.
        variant: the only one that it is about; all when None.
        goal_variant: the only one that the goal is about; all when None.
        is_ratio: whether a ratio to the gateway says anything.
    """

    row: str
    title: str
    key: str
    scale: float = 1
    digits: int = 0
    goal: str = ""
    variant: str | None = None
    goal_variant: str | None = None
    is_ratio: bool = True


METRICS = (
    Metric("delivery", "delivery, highest rate with p99 < 50 ms, /s", "rate", goal="≥ 45,000"),
    Metric("delivery", "… CPU µs a delivery at that rate", "server_us", digits=1, goal="≤ 13"),
    Metric("delivery", "… of Redis", "redis_us", digits=1),
    Metric("delivery", "… p50, ms", "p50_us", 1000, 1),
    Metric("delivery", "… p99, ms", "p99_us", 1000, 1),
    Metric("delivery", "… coalesced", "coalesced", is_ratio=False),
    Metric("delivery", "… the load client's idle share, %", "idle", 0.01, is_ratio=False),
    Metric("steady", "at half that rate for a minute: p50, ms", "p50_us", 1000, 1),
    Metric("steady", "… p99, ms", "p99_us", 1000, 1),
    Metric("steady", "… longest, ms", "max_us", 1000, 1),
    Metric("steady", "… missed", "missed", is_ratio=False),
    Metric("steady", "… memory grown, KiB", "grown_kib", is_ratio=False),
    Metric("broadcast", "broadcast to all, deliveries/s", "rate", goal="≥ 120,000"),
    Metric("broadcast", "… CPU µs each", "server_us", digits=1),
    Metric("broadcast", "… all have it after, p50, ms", "whole_p50_us", 1000, 1),
    Metric("memory", "KiB a connection", "kib", digits=1, goal="≤ 9"),
    Metric("connect", "connect + authenticate + subscribe + snapshot, CPU µs", "server_us", goal="≤ 200"),
    Metric("connect", "… of PostgreSQL", "postgres_us"),
    Metric("connect", "… of Redis", "redis_us"),
    Metric("reconnect", "all dropped: all back and whole, s", "seconds", digits=2, goal="≤ 1.1"),
    Metric("reconnect", "… missed afterwards", "missed_afterwards", is_ratio=False),
    Metric("polls", "status polls, /s", "rate", goal="≥ 11,000"),
    Metric("polls", "… CPU µs", "server_us"),
    Metric("polls", "… of PostgreSQL", "postgres_us"),
    Metric("submissions", "submissions, /s", "rate", goal="≥ 3,000, ahead of Fastify", variant=""),
    Metric("submissions", "… CPU µs", "server_us", variant=""),
    Metric("submissions", "… of PostgreSQL", "postgres_us", variant=""),
    Metric("submissions", "submissions, /s", "rate", variant="with an idempotency key"),
    Metric("submissions", "… CPU µs", "server_us", variant="with an idempotency key"),
    Metric("callbacks", "callbacks, /s", "rate", goal="≥ 4,000, ahead of Fastify", variant="progress"),
    Metric("callbacks", "… CPU µs", "server_us", variant="progress"),
    Metric("callbacks", "… of PostgreSQL", "postgres_us", variant="progress"),
    Metric("callbacks", "callbacks, /s", "rate", goal="≥ 3,000, ahead of Fastify", variant="completed"),
    Metric("callbacks", "… CPU µs", "server_us", variant="completed"),
    Metric("callbacks", "… of PostgreSQL", "postgres_us", variant="completed"),
    Metric("chain", "callback → row → bus → client: p50, ms", "p50_us", 1000, 1),
    Metric("chain", "… p99, ms", "p99_us", 1000, 1, "≤ 10", goal_variant="2,000/s"),
    Metric("chain", "… missed", "missed", is_ratio=False),
    Metric("events", "Server-Sent Events: highest rate with p99 < 50 ms, /s", "rate"),
    Metric("events", "… CPU µs a delivery at that rate", "server_us", digits=1),
    Metric("events", "… KiB a stream", "kib", digits=1),
    Metric("events", "… opening one, CPU µs", "connect_us"),
    Metric("events", "… at half that rate for a minute: p99, ms", "steady_p99_us", 1000, 1),
    Metric("events", "… longest, ms", "steady_max_us", 1000, 1),
    Metric("events", "… missed", "steady_missed", is_ratio=False),
    Metric("events", "… memory grown, KiB", "steady_grown_kib", is_ratio=False),
    Metric("processes", "two processes: highest rate with p99 < 50 ms, /s", "rate"),
    Metric("processes", "… CPU µs a delivery at that rate", "server_us", digits=1),
    Metric("growth", "KiB a connection", "kib", digits=1),
    Metric("growth", "… opening one more, CPU µs", "connect_us"),
    Metric("growth", "… p99 at a low rate, ms", "p99_us", 1000, 1),
    Metric("growth", "… CPU µs a delivery at a low rate", "server_us", digits=1),
    Metric("events-growth", "KiB an event stream", "kib", digits=1),
    Metric("events-growth", "… opening one more, CPU µs", "connect_us"),
    Metric("events-growth", "… p99 at a low rate, ms", "p99_us", 1000, 1),
    Metric("events-growth", "… CPU µs a delivery at a low rate", "server_us", digits=1),
)


def table(results: Sequence[Result]) -> str:
    """The table, and beneath it what was not measured and what is in doubt."""
    measured = {(result.row, result.variant, result.peer): result for result in results if result.values}
    peers = [name for name in LABELS if any(result.peer == name for result in results)]
    lines = [_line(["", *(LABELS[name] for name in peers), "**goal**"]), _line(["---"] * (len(peers) + 2))]
    for metric, variant in _metrics_and_variants(results):
        cells = [measured.get((metric.row, variant, peer)) for peer in peers]
        if any(cells):
            reference = measured.get((metric.row, variant, "gateway"))
            shown = [_cell(metric, cell, reference) for cell in cells]
            title = f"{metric.title} ({variant})" if variant and not metric.title.startswith("…") else metric.title
            has_goal = metric.goal and metric.goal_variant in (None, variant)
            lines.append(_line([title, *shown, f"**{metric.goal}**" if has_goal else ""]))
    notes = list(_notes(results))
    return "\n".join([*lines, *([""] if notes else []), *notes])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _metrics_and_variants(results: Sequence[Result]) -> Iterator[tuple[Metric, str]]:
    """All metrics of a row's first variant, then all of its second, and so on."""
    for row, group in itertools.groupby(METRICS, key=lambda metric: metric.row):
        metrics = list(group)
        for variant in dict.fromkeys(result.variant for result in results if result.row == row and result.values):
            yield from ((metric, variant) for metric in metrics if metric.variant in (None, variant))


def _cell(metric: Metric, result: Result | None, reference: Result | None) -> str:
    if result is None or metric.key not in result.values:
        return "–"
    value = result.values[metric.key]
    text = f"{value / metric.scale:,.{metric.digits}f}"
    base = reference.values.get(metric.key) if reference is not None and reference is not result else None
    return f"{text} (×{value / base:.2f})" if base and metric.is_ratio else text


def _notes(results: Sequence[Result]) -> Iterator[str]:
    floor = next((one.values["rate"] for one in results if one.peer == "floor" and one.values.get("offered")), None)
    errors: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.error:
            errors.setdefault((result.peer, result.error), []).append(result.row)
        for doubt in _doubts(result, floor):
            yield f"- {' '.join((result.peer, result.row, result.variant)).strip()}: {doubt}"
    disturbed = [result for result in results if result.values.get("others", 0) > OTHERS]
    if disturbed:
        most = max(result.values["others"] for result in disturbed)
        names = ", ".join(dict.fromkeys(f"{result.peer} {result.row}" for result in disturbed))
        yield f"- Others used up to {most:.0%} of both cores during {names}. Repeat it on an idle machine."
    for (peer, error), rows in errors.items():
        yield f"- {peer} was not measured ({', '.join(rows)}): {' '.join(error.split())[:300]}"


def _doubts(result: Result, floor: float | None) -> Iterator[str]:
    values = result.values
    by_rate = result.row in ("delivery", "events", "processes")
    if by_rate and values and values["idle"] < IDLE_ENOUGH:
        yield f"the load client had only {values['idle']:.0%} of its time left. A lower bound."
    if by_rate and values and floor and result.peer != "floor" and values["rate"] > 0.9 * floor:
        yield "as fast as the floor. A lower bound."
    if refused := values.get("refused", 0) + values.get("broken", 0):
        yield f"{refused} were refused or broken off."
    if unwritten := values.get("unwritten"):
        yield f"{unwritten} requests wrote nothing."
