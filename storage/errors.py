"""What can go wrong in storage, as a caller sees it.

StorageError
 ├── DatabaseUnavailable    the database is away, too slow or too busy: try again later
 │    └── StatementBroken        a statement was sent, and did not end well
 │         ├── DatabaseContended      others held what was needed, at every try
 │         └── StatementTimeout       it took too long; whether it took effect is unknown
 ├── StatementRefused       the database refuses what was asked, and will again
 │    └── RowGone                a row that is referred to does not exist any more
 ├── DatabaseBusy           another gateway process already serves this SQLite file
 ├── NotRetriable           an administrator's retry of a request that has not failed
 └── Refusal                the submission breaks a rule; nothing was written
      ├── UserGone
      ├── NoOrganization
      ├── OrganizationRequired
      ├── NotAMember
      ├── IdempotencyConflict
      ├── RateLimited
      └── BudgetSpent
"""

from datetime import datetime


class StorageError(Exception):
    """Base of everything that this package raises on purpose."""


class DatabaseUnavailable(StorageError):
    """The database did not answer in time, refused, or went away in the middle. What was asked may be retried."""


class StatementBroken(DatabaseUnavailable):
    """There was a connection, and what was asked on it met an error that passes, as the database words it.

    Triggers word theirs as they like, so the reason may be one table's own.
    """


class DatabaseContended(StatementBroken):
    """A deadlock, a lock timeout or a read-only server, each time it was tried."""


class StatementTimeout(StatementBroken):
    """A statement took longer than `timeouts.STATEMENT_SECONDS`: it waits for a lock, or the server answers no more."""


class StatementRefused(StorageError):
    """A constraint, a right, a type or a missing table stands against it; the driver's error is its cause."""

    def __init__(self, reason: str, place: str | None = None) -> None:
        super().__init__(reason)
        self.place = place
        """The column, or else the constraint, as far as the database names one."""


class RowGone(StatementRefused):
    """A foreign key refers to a row that was deleted."""


class DatabaseBusy(StorageError):
    """Another process holds the SQLite file; its text says what to do."""


class Refusal(StorageError):
    """A submission that breaks a rule. Nothing was written."""


class UserGone(Refusal):
    """The user has been deleted; their token is still good."""


class NoOrganization(Refusal):
    """The user is a member of no organization."""


class OrganizationRequired(Refusal):
    """The user is a member of several organizations and named none."""


class NotAMember(Refusal):
    """The user named an organization that they are not a member of."""


class IdempotencyConflict(Refusal):
    """The idempotency key was used before, with another body."""


class RateLimited(Refusal):
    """The user has used up the rolling hour."""

    def __init__(self, limit: int, retry_after: int) -> None:
        super().__init__(f"{limit} requests in the last hour; the next one in {retry_after} s")
        self.limit = limit
        self.retry_after = retry_after
        """Seconds until the oldest request of the window falls out of it."""


class BudgetSpent(Refusal):
    """The organization's budget for this month would be overrun."""

    def __init__(self, renews_at: datetime, retry_after: int) -> None:
        super().__init__(f"the budget is spent; it renews in {retry_after} s")
        self.renews_at = renews_at
        self.retry_after = retry_after
        """Seconds until the next month begins (UTC)."""


class NotRetriable(StorageError):
    """A request that cannot be retried; `code` is the machine's word for why."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
