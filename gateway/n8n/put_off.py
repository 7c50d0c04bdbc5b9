"""Requests that the database would not change, put off so that they hold up no others."""

import time

from storage.errors import StatementBroken, StatementRefused

PUT_OFF_SECONDS = 60.0
"""How long a request is left alone: somebody holds its row, or a trigger of the app's refuses the change."""

MOST = 1000
"""Most requests that are remembered; past it the one put off longest ago has its turn again."""

ROW_ERRORS = (StatementBroken, StatementRefused)
"""What may be one row's own affair."""


class PutOff:
    """A memory of this process."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def __len__(self) -> int:
        """How many there are, so that as many more are asked for."""
        return len(self._until)

    def add(self, request_id: str) -> None:
        """Leave the request alone for a while."""
        self._until.pop(request_id, None)
        self._until[request_id] = time.monotonic() + PUT_OFF_SECONDS
        if len(self._until) > MOST:
            del self._until[next(iter(self._until))]

    def others(self, request_ids: list[str]) -> list[str]:
        """Those of the requests that are not put off now."""
        now = time.monotonic()
        for request_id in [known for known, until in self._until.items() if until <= now]:
            del self._until[request_id]
        return [request_id for request_id in request_ids if request_id not in self._until]
