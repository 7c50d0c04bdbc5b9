"""What a database's errors mean for whoever asked: try again at once, try again later, or never."""

import sqlite3
from enum import Enum


class ErrorKind(Enum):
    """How an error of the database ends."""

    CONTENDED = "contended"
    """Nothing was done, and the next try may well succeed: a deadlock, a lock timeout, a server that was replaced."""
    PASSING = "passing"
    """The database is away, full or overrun, and will be back."""
    PERMANENT = "permanent"
    """What was asked is refused, and will be again."""


# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONTENDED = {
    "40001": "serialization_failure",
    "40P01": "deadlock_detected",
    "55P03": "lock_not_available",
    "25006": "read_only_sql_transaction: a server that was demoted or fenced; a new connection may find the other one",
}

_PASSING_CLASSES = {
    "08": "connection exception",
    "40": "transaction rollback",
    "53": "insufficient resources: disk, memory, connections",
    "57": "operator intervention: shutting down, starting up, a statement's time limit",
    "58": "system error: the server's disk",
}

_PASSING = {
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout",
    "28000": "invalid_authorization_specification: poolers connect when they are asked",
    "28P01": "invalid_password: the same, while a password is changed",
    "3D000": "invalid_catalog_name: the same, while the database is restored",
    "55006": "object_in_use: while the database is copied or renamed",
    "72000": "snapshot_too_old",
    "XX000": "internal_error: what Supabase's pooler sends for a full pool, a checkout timeout and a restart",
}


def kind_of_sqlstate(sqlstate: str | None) -> ErrorKind:
    """What an error of PostgreSQL, or of a pooler before it, means."""
    if sqlstate in _CONTENDED:
        return ErrorKind.CONTENDED
    if sqlstate is not None and (sqlstate in _PASSING or sqlstate[:2] in _PASSING_CLASSES):
        return ErrorKind.PASSING
    return ErrorKind.PERMANENT


MOVED = frozenset({"25006"})
"""The server of a connection is not the one any more that takes writes: connections of the same age are no better."""

_ENDING = ("08", "28", "3D", "57P", "XX")


def ends_connection(sqlstate: str | None) -> bool:
    """Whether a connection that met the error is not to be used again, though it may look open."""
    return sqlstate is not None and sqlstate.startswith(_ENDING)


def is_of_settings(error: Exception) -> bool:
    """Whether the user, the password or the database's name is refused: at the start it is the URL that is wrong."""
    return str(getattr(error, "sqlstate", "")).startswith(("28", "3D"))


# https://www.sqlite.org/rescode.html
_PASSING_IN_SQLITE = {
    sqlite3.SQLITE_BUSY,  # locked by another tool, for longer than we wait
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}


def kind_of_sqlite(error: sqlite3.Error) -> ErrorKind:
    """What an error of SQLite means. One without a code is the driver's: it is used wrongly."""
    code = getattr(error, "sqlite_errorcode", None)
    return ErrorKind.PASSING if code is not None and code & 0xFF in _PASSING_IN_SQLITE else ErrorKind.PERMANENT
