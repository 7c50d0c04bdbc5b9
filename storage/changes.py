"""Guarded changes of one request each: alone, or together with others that come while the database is busy.

Together they share a transaction, its round trip and its commit. It waits for nobody: whose row is held elsewhere or
whose guard does not hold, and everybody where it fails, goes alone, as if nobody else had come.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from storage.database.base import Database, Row, Values
from storage.errors import StatementBroken, StatementRefused, StatementTimeout
from storage.queries.rows import if_free
from storage.request import Request


async def change_row(database: Database, steps: Mapping[str, str], **values: object) -> Request | None:
    """Run the chain `steps`, whose step ``changed`` changes the row ``id`` if its guard holds; None if it did not.

    Raises:
        DatabaseUnavailable: whether it was changed may be unknown.
        StatementRefused: it was not, and never will be.
    """
    together = _Together(database, tuple(steps.items()))
    made = await database.together(together, values)
    row = await database.chain(steps, **values) if made == ALONE else made
    return None if row is None else Request.from_row(row)


ALONE: Literal["alone"] = "alone"
"""Nothing was done: it must go alone."""


@dataclass(frozen=True, slots=True)
class _Together:
    database: Database
    steps: tuple[tuple[str, str], ...]

    async def __call__(self, each: Sequence[Values]) -> list[Row | Literal["alone"]]:
        first_of: dict[object, int] = {}
        for index, values in enumerate(each):
            first_of.setdefault(values["id"], index)
        try:
            rows = await self.database.chain_each(
                if_free(self.steps), [each[index] for index in first_of.values()], patient=False
            )
        except StatementTimeout:
            raise
        except (StatementBroken, StatementRefused):  # one's own affair; if it was done, the guards say so
            return [ALONE] * len(each)
        changed = {str(row["id"]): row for row in rows}
        return [
            changed.get(str(values["id"]), ALONE) if first_of[values["id"]] == index else ALONE
            for index, values in enumerate(each)
        ]
