"""A gateway whose bus can be made lossy, which can be made to die between commit and publish, and whose safeguards can
be switched off one at a time. In everything else it is the real one.

    FAULTS=folder SABOTAGE="version check" python -m tests.faults.faulty_gateway serve --port 8000

Files in the folder switch faults while it runs: `lossy` drops, repeats and reorders bus messages; `die` kills the
process (-9) at the next publish, after the commit, and is removed so that only one dies.
"""

import os
import random
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from gateway.api import generate
from gateway.cli import main
from gateway.realtime import hub, redis_bus
from gateway.realtime.hub import Hub
from gateway.realtime.known_requests import KnownRequest
from gateway.realtime.redis_bus import RedisBus
from gateway.realtime.subscriber import Subscriber
from gateway.realtime.update import Update
from storage import dispatch
from storage.lifecycle import Event, Status
from storage.queries import life, rows, sending
from storage.request import Request
from storage.submissions import Submitted

FOLDER = Path(os.environ.get("FAULTS", "."))
KEPT_BACK = 20

publish = RedisBus.publish
_kept: list[Update] = []


def faulty_publish(self: RedisBus, update: Update) -> None:
    if (FOLDER / "die").exists():
        (FOLDER / "die").unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if not (FOLDER / "lossy").exists():
        publish(self, update)
        return
    _kept.append(update)
    if len(_kept) > KEPT_BACK:
        del _kept[0]
    for old in random.sample(_kept, k=min(len(_kept), random.choice([0, 0, 1, 2]))):
        # Past the outbox, which would keep the newest of each request only.
        self._publisher._unsent[f"{old.request_id}/{random.random()}"] = old
    self._publisher._flush()


RedisBus.publish = faulty_publish  # type: ignore[method-assign]


# -- safeguards that can be switched off ------------------------------------------------------------------------------


def offer_anything(self: Subscriber, update: Update) -> bool:
    if self.accepting:
        self.deliver(update)
        return True
    self._pending = {**(self._pending or {}), update.request_id: update}
    self.on_pending()
    return False


def want_everything(self: Subscriber, update: Update) -> bool:
    return True


def offer_to_everyone(self: Hub, update: Update, known: KnownRequest) -> None:
    for subscribers in self._topics.values():
        for subscriber in subscribers:
            subscriber.offer(update)


async def never_reconcile(self: Hub) -> None:
    return None


def sabotage(name: str) -> None:
    """Switch one safeguard off."""
    match name:
        case "version check":
            Subscriber.offer = offer_anything  # type: ignore[method-assign]
        case "reconcile":
            Hub.reconcile = never_reconcile  # type: ignore[method-assign]
        case "gap":
            forget_gaps()
        case "owner check":
            Subscriber.wants = want_everything  # type: ignore[method-assign]
            Hub._offer = offer_to_everyone  # type: ignore[method-assign]
            share_one_topic()
        case "status guard":
            life.INSERT_ASSET = life.INSERT_ASSET.replace(rows.guard(Event.COMPLETED), "1 = 1")
            life.COMPLETE = life.COMPLETE.replace(rows.guard(Event.COMPLETED), "1 = 1")
        case "sending mark":
            sending.CLAIM = sending.CLAIM.replace("AND dispatch_sending_at IS NULL ", "")
            sending.MARK_SENDING = sending.MARK_SENDING.replace("AND dispatch_sending_at IS NULL ", "")
            dispatch.LEASE_SECONDS = 0.3
        case "durable row":
            answer_without_a_row()
        case "":
            pass
        case _:
            raise ValueError(f"unknown safeguard {name}")


def forget_gaps() -> None:
    """A bus that comes back without a word."""
    Hub.on_gap = lambda self: None  # type: ignore[method-assign]


def share_one_topic() -> None:
    """Let every process hear everyone's updates."""
    for module in (redis_bus, hub):
        setattr(module, "user_topic", lambda user_id: "user:everyone")  # noqa: B010


def answer_without_a_row() -> None:
    """A 202 for a request that is never written."""

    async def pretend(database: Any, submission: Any, **options: Any) -> Submitted:
        now = datetime.now(UTC)
        request = Request(
            id=str(uuid4()),
            user_id=submission.user_id,
            organization_id=submission.user_id,
            product=submission.product,
            brand=submission.brand,
            status=Status.PENDING,
            version=1,
            progress=None,
            storage_key=None,
            storage_id=None,
            error_message=None,
            error_code=None,
            cost=None,
            created_at=now,
            updated_at=now,
            completed_at=None,
            n8n_execution_id=None,
            metadata={},
            retry_of=None,
            dispatch_attempts=0,
            picture_token=str(uuid4()),
        )
        return Submitted(request, remaining=1, reset_seconds=1, repeated=False)

    setattr(generate, "submit", pretend)  # noqa: B010


if __name__ == "__main__":
    sabotage(os.environ.get("SABOTAGE", ""))
    main()
