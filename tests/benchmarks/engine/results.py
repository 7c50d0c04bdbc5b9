"""What was measured, and by whom: one JSON line each."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Result:
    """One row of one peer.

    Args:
        row: its name, as in `--rows`.
        peer: its name, as in `--peers`.
        variant: what tells several measurements of a row apart, such as a rate.
        values: what was measured; empty when `error` says why nothing was.
    """

    row: str
    peer: str
    variant: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    def line(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))
