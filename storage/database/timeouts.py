"""How long and how many may wait for the database."""

ACQUIRE_SECONDS = 5.0
"""Longest wait for a connection: past it a client is better served by a 503 than by silence."""

STATEMENT_SECONDS = 10.0
"""Longest single statement."""

MAX_WAITING = 1000
"""Most units of work that may wait for a connection; more are refused at once, so that a database that is
away cannot fill the memory with waiters."""

PAUSES_SECONDS = (0.02, 0.1, 0.3)
"""Before each further try of what others stood in the way of; with `ACQUIRE_SECONDS` as the end of all tries."""
