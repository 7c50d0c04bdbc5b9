"""What a database's error means for the person who starts the gateway."""

import sqlite3

import asyncpg
from asyncpg.exceptions import TargetServerAttributeNotMatched

from gateway.cli.reasons import causes, first_line, reason_of
from storage.errors import DatabaseBusy, StorageError

FULL = ("max clients", "maxclients", "no more connections", "query_wait_timeout", "remaining connection slots")
"""What poolers (Supabase's, PgBouncer) and PostgreSQL say when every connection is taken."""

_NO_TABLES = "has no gateway tables: run `gateway migrate`"


def explain(error: BaseException) -> str:
    """What went wrong with the database and what helps, in a sentence without a full stop."""
    if isinstance(error, DatabaseBusy):
        return first_line(error)  # it comes from a lock's timeout, which says nothing
    if (sentence := known(error)) is not None:
        return sentence
    if isinstance(error, StorageError):
        return first_line(error)
    first = list(causes(error))[-1]
    return f"cannot be used ({type(first).__name__}: {first_line(first)})"


def known(error: BaseException) -> str | None:
    """The same, where the error's kind says more than its words."""
    for cause in reversed(list(causes(error))):  # what happened first says most
        sentence = _of_postgres(cause) or reason_of(cause) or _of_a_file(cause)
        if sentence is not None:
            return sentence
    return None


def _of_postgres(error: BaseException) -> str | None:
    text = first_line(error)
    match error:
        case asyncpg.TooManyConnectionsError():
            return f"has no connection left ({text}): raise its limit, or lower max_size in the URL"
        case asyncpg.PostgresError() if any(words in text.lower() for words in FULL):
            return f"has no connection left ({text}): raise the pooler's limit, or lower max_size in the URL"
        case asyncpg.DuplicatePreparedStatementError() | asyncpg.InvalidSQLStatementNameError():
            return "stands behind a pooler in transaction mode: add pgbouncer=true to the URL's options"
        case asyncpg.InvalidAuthorizationSpecificationError():  # a wrong password is one
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
            return None


def _of_a_file(error: BaseException) -> str | None:
    """What is wrong with a SQLite file, or with one that the URL names."""
    text = first_line(error)
    match error:
        case sqlite3.OperationalError() if "no such table" in text:
            return _NO_TABLES
        case sqlite3.OperationalError() if "readonly" in text or "unable to open" in text:
            return f"cannot be written: look at the permissions of the file and its folder ({text})"
        case sqlite3.IntegrityError():
            return None  # a constraint or a trigger, in its own words
        case sqlite3.DatabaseError():
            return f"cannot be used ({text})"
        case OSError() if error.filename is not None:
            return f"cannot be used ({error.strerror}: {error.filename})"
        case ConnectionError():
            return f"cannot be reached ({text})"
        case _:
            return None
