"""Every metric, on one page.

With several server processes (`serve --workers`), prometheus-client keeps the values in files that all of them share
(`PROMETHEUS_MULTIPROC_DIR`), so that a scrape that meets any one of them sees the sum.
"""

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "gateway-metrics-"

# prometheus-client reads the variable when it is imported. To its workers the supervisor has given a folder of ours; an
# operator's is the place for those, and may be there or not.
_PLACE = None if _PREFIX in os.environ.get(FOLDER, _PREFIX) else os.environ.pop(FOLDER)

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess  # noqa: E402

from gateway.telemetry.tally import flush_tallies  # noqa: E402

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
PROTOCOL_VIOLATIONS = Counter(
    "gateway_websocket_violations",
    "WebSockets closed for what is no WebSocket, by close code.",
    ["code"],
    registry=REGISTRY,
)
for _code in ("1002", "1007", "1009"):
    PROTOCOL_VIOLATIONS.labels(_code)

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
HTTP_CONNECTIONS = Gauge(
    "gateway_http_connections",
    "Open HTTP connections, also those that have said nothing yet; none that became a WebSocket.",
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


class NoMetricsFolder(Exception):
    """Nowhere can a folder be made for what several processes count; its text says what to do."""


@contextlib.contextmanager
def shared_between_processes() -> Iterator[None]:
    """Let the processes that are started in the block keep their values in a folder that all of them read.

    It is made in `PROMETHEUS_MULTIPROC_DIR` if that is set, else among the system's temporary files. What a killed
    process has left behind there is removed; a lock tells it from the folder of one that lives.

    Raises:
        NoMetricsFolder: it cannot be made.
    """
    try:
        parent = Path(_PLACE or tempfile.gettempdir())
        parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(parent)
        folder = parent / f"{_PREFIX}{uuid.uuid4().hex}"
        lock = FileLock(f"{folder}.lock")
        lock.acquire(blocking=False)
        folder.mkdir()
    except OSError as error:
        raise NoMetricsFolder(
            f"Several processes share their metrics in a temporary folder, and none can be written ({error.strerror}): "
            "set TMPDIR to one, such as a tmpfs, or use --workers 1."
        ) from error
    os.environ[FOLDER] = str(folder)
    try:
        yield
    finally:
        del os.environ[FOLDER]
        _remove(folder, lock)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*/"):
        lock = FileLock(f"{folder}.lock")
        with contextlib.suppress(Timeout, OSError):  # another's, alive or not ours to touch
            lock.acquire(blocking=False)
            _remove(folder, lock)


def _remove(folder: Path, lock: FileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()
    Path(lock.lock_file).unlink(missing_ok=True)


def forget_process(pid: int) -> None:
    """The process has ended: its gauges count no more. Its counters stay, as they must not fall."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def exposition() -> bytes:
    """All metrics in Prometheus' text format: this process's, or all processes' together."""
    flush_tallies()
    if FOLDER not in os.environ:
        return generate_latest(REGISTRY)
    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return generate_latest(together)
