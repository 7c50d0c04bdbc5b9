"""What a real n8n answered, recorded by `tests/real_n8n/test_recordings.py`."""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


def load(name: str) -> dict[str, Any]:
    """The recordings in the file `name`.json."""
    return dict(json.loads((_FOLDER / f"{name}.json").read_text()))
