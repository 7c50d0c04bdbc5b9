"""Assets that the app's library has refused: a column of its own, a CHECK, a trigger, a missing right.

The picture exists and was paid for, so the request is completed all the same; its asset is owed, and tried again with
growing pauses until the library takes it.
"""

from dataclasses import dataclass

from storage.database.base import Database
from storage.errors import StatementBroken, StatementRefused
from storage.events import event_values
from storage.queries import life, owing

LEASE_SECONDS = 60.0
"""How long one process may try before another one does."""

FIRST_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class OwedAsset:
    """An asset that is to be tried again; `attempts` counts this one."""

    request_id: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Outstanding:
    """How many assets are owed, and why the newest one was refused."""

    count: int
    reason: str


def pause_after(attempts: int) -> float:
    """Seconds until an asset that was refused `attempts` times is tried again."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 10))


def reason_of(refused: Exception) -> str:
    """Why the library refused, with the column or the constraint as far as it names one; no value of the row."""
    text = str(refused).partition("\n")[0][:500]
    place = refused.place if isinstance(refused, StatementRefused) else None
    return text if place is None or place in text else f"{place}: {text}"


async def claim(database: Database, limit: int) -> list[OwedAsset]:
    """Take up to `limit` assets that are to be tried again, for `LEASE_SECONDS`."""
    rows = await database.all(owing.CLAIM, seconds=LEASE_SECONDS, limit=limit)
    return [OwedAsset(str(row["request_id"]), row["attempts"]) for row in rows]


async def write(database: Database, owed: OwedAsset, *, actor: str) -> str | None:
    """Write the asset and settle what is owed, together. Returns why the library still refuses it, or None."""
    steps = {
        "owed": owing.SETTLE,
        "asset": owing.INSERT_OWED_ASSET,
        "changed": owing.SET_ASSET,
        "event": life.INSERT_EVENT_OF_CHANGE,
    }
    values = event_values("asset_written", actor, {"attempts": owed.attempts})
    try:
        await database.chain(steps, id=owed.request_id, **values)
    except (StatementRefused, StatementBroken) as refused:
        reason, pause = reason_of(refused), pause_after(owed.attempts)
        await database.all(owing.POSTPONE, id=owed.request_id, reason=reason, pause=pause)
        return reason
    return None


async def outstanding(database: Database) -> Outstanding | None:
    """What is owed; None when that is nothing."""
    row = await database.one(owing.OUTSTANDING)
    return None if row is None or not row["owed"] else Outstanding(row["owed"], row["reason"])
