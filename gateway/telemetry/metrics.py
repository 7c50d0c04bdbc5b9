"""Every metric, on one page.

With several server processes (`serve --workers`), prometheus-client keeps the values in files that all of them share
(`PROMETHEUS_MULTIPROC_DIR`), so that a scrape that meets any one of them sees the sum.
"""

import os
import shutil
import tempfile

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from gateway.telemetry.tally import flush_tallies

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

REGISTRY = CollectorRegistry()

SUBMISSIONS = Counter(
    "gateway_submissions", "Submissions by what came of them: accepted, or why not.", ["outcome"], registry=REGISTRY
)
CALLBACKS = Counter("gateway_callbacks", "n8n's callbacks by what they did.", ["outcome"], registry=REGISTRY)
for _outcome in (
    *("changed", "duplicate", "ignored", "conflict", "unknown"),
    *("refused", "unauthorized", "unavailable"),
):  # there from the start: the first one of each kind must count as a rise
    CALLBACKS.labels(_outcome)
DISPATCH_ATTEMPTS = Counter(
    "gateway_dispatch_attempts", "POSTs to n8n by what its answer means.", ["outcome"], registry=REGISTRY
)
for _outcome in ("accepted", "send_again", "unregistered", "refused", "ran_and_failed", "in_doubt"):
    DISPATCH_ATTEMPTS.labels(_outcome)
N8N_API_CALLS = Counter(
    "gateway_n8n_api_calls", "Calls to n8n's API, for a listing or for an execution.", ["kind"], registry=REGISTRY
)
N8N_API_BYTES = Counter("gateway_n8n_api_bytes", "Bytes that n8n's API answered.", registry=REGISTRY)
CALLBACK_TO_CLIENT = Histogram(
    "gateway_callback_to_client_seconds",
    "From a change's commit to its bytes being handed to a client's connection.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
    registry=REGISTRY,
)
DELIVERIES = Counter("gateway_deliveries", "Updates handed to clients.", ["transport"], registry=REGISTRY)
COALESCED = Counter(
    "gateway_coalesced", "Updates that a newer one replaced before a slow client took them.", registry=REGISTRY
)
RECONCILES = Counter("gateway_reconciles", "Reads of what changed among everything subscribed.", registry=REGISTRY)
RECONCILE_FAILURES = Counter("gateway_reconcile_failures", "Such reads that failed.", registry=REGISTRY)
BUS_UNREADABLE = Counter("gateway_bus_unreadable", "Bus messages that are no updates.", registry=REGISTRY)
PUBLISH_FAILURES = Counter("gateway_bus_publish_failures", "Updates that could not be published.", registry=REGISTRY)

BUS_HEALTHY = Gauge(
    "gateway_bus_healthy",
    "1 while what is published comes back; 0 if it does not in any process.",
    multiprocess_mode="livemin",
    registry=REGISTRY,
)
SUBSCRIBERS = Gauge(
    "gateway_watchers", "Subscribers on all transports.", multiprocess_mode="livesum", registry=REGISTRY
)
CONNECTIONS = Gauge(
    "gateway_connections",
    "Open WebSockets, event streams and long polls.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
DRAINING = Gauge("gateway_draining", "Processes that are stopping.", multiprocess_mode="livesum", registry=REGISTRY)
QUEUE = Gauge(
    "gateway_queue",
    "Unfinished requests, in the whole database.",
    ["state"],
    multiprocess_mode="mostrecent",
    registry=REGISTRY,
)
QUEUE_AGE = Gauge(
    "gateway_queue_oldest_seconds",
    "How long the oldest request has waited to be sent to n8n.",
    multiprocess_mode="mostrecent",
    registry=REGISTRY,
)
ALERT = Gauge(
    "gateway_alert", "1 while the alert fires, 0 after it.", ["name"], multiprocess_mode="mostrecent", registry=REGISTRY
)


def share_between_processes() -> str:
    """Make a folder in which the processes that are started from here on keep their values; returns its path."""
    folder = tempfile.mkdtemp(prefix="gateway-metrics-")
    os.environ[FOLDER] = folder
    return folder


def forget_process(pid: int) -> None:
    """The process has ended: its gauges count no more. Its counters stay, as they must not fall."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def forget_all(folder: str) -> None:
    """Remove what `share_between_processes` made."""
    shutil.rmtree(folder, ignore_errors=True)


def exposition() -> bytes:
    """All metrics in Prometheus' text format: this process's, or all processes' together."""
    flush_tallies()
    if FOLDER not in os.environ:
        return generate_latest(REGISTRY)
    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return generate_latest(together)
