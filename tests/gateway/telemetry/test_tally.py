"""Tallies: what is counted without a lock is what the metric would have counted."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gateway.telemetry import metrics, tally
from gateway.telemetry.tally import HistogramTally, Tally, flush_tallies

BOUNDS = (0.001, 0.01, 0.1, 1)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """A registry of the test's own; tallies that the test makes are forgotten with it."""
    monkeypatch.setattr(tally, "_TALLIES", [])
    return CollectorRegistry()


def test_a_tally_is_folded_once(registry: CollectorRegistry) -> None:
    counter = Counter("deliveries", "…", ["transport"], registry=registry)
    websocket, poll = Tally(counter.labels("websocket")), Tally(counter.labels("poll"))
    websocket.n += 1
    websocket.n += 4_999
    poll.n += 2
    assert registry.get_sample_value("deliveries_total", {"transport": "websocket"}) == 0
    for _ in range(2):
        flush_tallies()
        assert registry.get_sample_value("deliveries_total", {"transport": "websocket"}) == 5_000
        assert registry.get_sample_value("deliveries_total", {"transport": "poll"}) == 2


def test_a_histogram_is_what_observing_one_by_one_would_make_it(registry: CollectorRegistry) -> None:
    counted = HistogramTally(Histogram("seconds", "…", buckets=BOUNDS, registry=registry))
    other = CollectorRegistry()
    observed = Histogram("seconds", "…", buckets=BOUNDS, registry=other)
    values = [0, *BOUNDS, 1.5, *(random.uniform(0, 2) for _ in range(200))]
    for value in values:
        counted.observe(value)
        observed.observe(value)
    counted.observe(0.05, times=3)
    for _ in range(3):
        observed.observe(0.05)
    for _ in range(2):
        flush_tallies()
        for bound in (*map(float, BOUNDS), "+Inf"):
            labels = {"le": str(bound)}
            assert registry.get_sample_value("seconds_bucket", labels) == other.get_sample_value(
                "seconds_bucket", labels
            )
        assert registry.get_sample_value("seconds_count") == len(values) + 3
        assert registry.get_sample_value("seconds_sum") == pytest.approx(other.get_sample_value("seconds_sum"))
    assert b"seconds_bucket" in generate_latest(registry)


COUNTING = """
from gateway.telemetry import metrics
from gateway.telemetry.tally import HistogramTally, Tally, flush_tallies
Tally(metrics.COALESCED).n += 7
HistogramTally(metrics.CALLBACK_TO_CLIENT).observe(0.002)
"""


def test_several_processes_add_up(tmp_path: Path) -> None:
    """A scrape that meets one process shows what the other has flushed, and what its own tallies hold."""
    folder = tmp_path / "gateway-metrics-0"  # as the supervisor names them
    folder.mkdir()
    meets_the_second = f"{COUNTING}\nprint(metrics.exposition().decode())"
    for program in (f"{COUNTING}\nflush_tallies()", meets_the_second):
        shown = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, metrics.FOLDER: str(folder)},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    assert "gateway_coalesced_total 14.0" in shown
    assert 'gateway_callback_to_client_seconds_bucket{le="0.0025"} 2.0' in shown
