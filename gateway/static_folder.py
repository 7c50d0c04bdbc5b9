"""Where the files lie that a browser loads."""

from pathlib import Path

_PACKAGE = Path(__file__).parent

FOLDER = _PACKAGE / "static" if (_PACKAGE / "static").is_dir() else _PACKAGE.parent / "static"
"""Inside the package when it is installed from a wheel, beside it in a working copy."""
