"""What a database's error means for the person who starts the gateway."""

import socket
import sqlite3
import ssl
from collections.abc import Iterator

import asyncpg
from asyncpg.exceptions import TargetServerAttributeNotMatched

from storage.errors import StorageError

FULL = ("max clients", "maxclients", "no more connections", "query_wait_timeout", "remaining connection slots")
"""What poolers (Supabase's, PgBouncer) and PostgreSQL say when every connection is taken."""

UNPREPARED = (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)
"""What comes of prepared statements when another server connection gets the next transaction."""

_NO_TABLES = "has no gateway tables: run `gateway migrate`"


def explain(error: BaseException) -> str:
    """What went wrong with the database and what helps, in a sentence without a full stop."""
    causes = list(_causes(error))
    for cause in reversed(causes):  # what happened first says most
        sentence = _sentence(cause)
        if sentence is not None:
            return sentence
    if isinstance(error, StorageError):
        return str(error).rstrip(".")
    return f"cannot be used ({type(causes[-1]).__name__}: {_line(causes[-1])})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error`, and what it was raised from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _sentence(error: BaseException) -> str | None:
    text = _line(error)
    match error:
        case asyncpg.TooManyConnectionsError():
            return f"has no connection left ({text}): raise its limit, or lower max_size in the URL"
        case asyncpg.PostgresError() if any(words in text.lower() for words in FULL):
            return f"has no connection left ({text}): raise the pooler's limit, or lower max_size in the URL"
        case _ if isinstance(error, UNPREPARED):
            return "stands behind a pooler in transaction mode: add pgbouncer=true to the URL's options"
        case asyncpg.InvalidAuthorizationSpecificationError():  # wrong password, too
            return f"refuses the user or the password ({text})"
        case asyncpg.InvalidCatalogNameError():
            return f"cannot be reached: the server has no such database ({text})"
        case asyncpg.ReadOnlySQLTransactionError():
            return "is read-only: a standby, or switched to read-only"
        case asyncpg.InsufficientPrivilegeError():
            return f"does not let the gateway's role do its work ({text})"
        case asyncpg.UndefinedTableError():
            return _NO_TABLES
        case TargetServerAttributeNotMatched():
            return "cannot be reached: none of its hosts is what target_session_attrs asks for"
        case _:
            return _connecting(error, text) or _file(error, text)


def _connecting(error: BaseException, text: str) -> str | None:
    match error:
        case ssl.SSLCertVerificationError():
            return f"cannot be reached: its TLS certificate is not believed ({error.verify_message})"
        case ssl.SSLError():
            return f"cannot be reached: TLS failed ({text})"
        case socket.gaierror():
            return "cannot be reached: its host name is not known"
        case ConnectionRefusedError():
            return "cannot be reached: nothing listens there"
        case TimeoutError():
            return "cannot be reached: it did not answer in time"
        case ConnectionError():
            return f"cannot be reached ({text})"
        case _:
            return None


def _file(error: BaseException, text: str) -> str | None:
    """What is wrong with a SQLite file."""
    match error:
        case sqlite3.OperationalError() if "no such table" in text:
            return _NO_TABLES
        case sqlite3.OperationalError() if "readonly" in text or "unable to open" in text:
            return f"cannot be written: look at the permissions of the file and its folder ({text})"
        case sqlite3.DatabaseError():
            return f"cannot be used ({text})"
        case OSError():
            return f"cannot be used ({error.strerror or text}: {error.filename})" if error.filename else None
        case _:
            return None


def _line(error: BaseException) -> str:
    """The first line of what an error says."""
    return str(error).strip().partition("\n")[0].rstrip(".")
