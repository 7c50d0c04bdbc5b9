"""Users of a test's database, and the mark of tests for which one backend is enough."""

import uuid
from dataclasses import dataclass

import pytest

from storage.database.base import Database

parsing_only = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
"""For refusals that come before any backend is asked: once is enough."""


@dataclass(frozen=True)
class Person:
    """A user, and the organizations that they belong to."""

    id: str
    organizations: tuple[str, ...]


class People:
    """Makes users in a database."""

    def __init__(self, database: Database, users_table: str) -> None:
        self._database = database
        self._users_table = users_table

    async def person(self, organizations: int = 1, user_id: str | None = None) -> Person:
        user_id = user_id or str(uuid.uuid4())
        await self._database.all(f"INSERT INTO {self._users_table} (id) VALUES (:id)", id=user_id)
        joined = tuple(str(uuid.uuid4()) for _ in range(organizations))
        for organization_id in joined:
            await self._database.all("INSERT INTO organizations (id, name) VALUES (:id, 'Acme')", id=organization_id)
            await self._database.all(
                "INSERT INTO organization_members (organization_id, user_id) VALUES (:organization_id, :user_id)",
                organization_id=organization_id,
                user_id=user_id,
            )
        return Person(user_id, joined)
