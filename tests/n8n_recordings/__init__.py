"""What a real n8n answered, recorded by `tests/real_n8n/test_recordings.py`."""

import copy
import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


def load(name: str) -> dict[str, Any]:
    """The recordings in the file `name`.json."""
    return dict(json.loads((_FOLDER / f"{name}.json").read_text()))


def executions() -> dict[str, Any]:
    """The recorded executions, and those that cannot be had on demand: the recorded ones as n8n 2.41 changes them.

    ``new`` waits for a worker or a place (`tests/real_n8n/test_queue_mode.py` sees a real one); ``crashed`` was running
    when n8n was killed and was found at its next start; ``finished_then_crashed`` had ended well, and that start called
    it crashed all the same.
    """
    recorded = load("executions")
    waiting, crashed, finished = (copy.deepcopy(recorded[name]) for name in ("running", "running", "completed"))
    waiting |= {"status": "new", "startedAt": None}
    for execution in (crashed, finished):
        execution |= {"status": "crashed", "finished": False, "stoppedAt": "2026-11-22T22:34:41.828Z"}
        execution["data"]["resultData"]["error"] = {
            "message": "Workflow did not finish, possible out-of-memory issue",
            "name": "WorkflowCrashedError",
            "timestamp": 1795386881603,
        }
    return recorded | {"new": waiting, "crashed": crashed, "finished_then_crashed": finished}
