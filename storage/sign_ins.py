"""Sign-in links that have been used: each works once, over all processes."""

from storage.database.base import Database, Transaction
from storage.queries import sign_ins


async def spend(database: Database, code_id: str, seconds: float) -> bool:
    """Use up the code with that number, which ends within `seconds`; False if it has been used.

    Raises:
        DatabaseUnavailable: nobody knows.
    """

    async def work(tx: Transaction) -> bool:
        await tx.all(sign_ins.FORGET_EXPIRED)
        return await tx.one(sign_ins.SPEND, id=code_id, seconds=seconds) is not None

    return await database.transaction(work)
