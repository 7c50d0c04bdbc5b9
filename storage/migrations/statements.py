"""How a migration runs its statements, on either database."""

from collections.abc import Sequence
from types import ModuleType

from sqlalchemy import text


def execute(op: ModuleType, postgres: Sequence[str], sqlite: Sequence[str]) -> None:
    """Run the statements of the database at hand, as they are written."""
    for statement in postgres if op.get_context().dialect.name == "postgresql" else sqlite:
        # A colon would begin one of SQLAlchemy's parameters; here it is always the database's own.
        op.execute(text(statement.replace(":", r"\:")))
