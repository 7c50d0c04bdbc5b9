"""The demo's secrets: made at its first start and kept, so that sessions and tokens outlive a restart."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

import msgspec

NAMES = ("n8n_webhook_secret", "ai_callback_secret", "supabase_jwt_secret")


def kept_secrets(path: Path) -> dict[str, str]:
    """The secrets in the file at `path`, by the names of their settings; made there if it holds none.

    Only its owner may read the file. Two demos that start at once agree on those of the first.

    Raises:
        OSError: the file cannot be read or written.
    """
    with contextlib.suppress(FileNotFoundError):
        if (found := _read(path)) is not None:
            return found
        path.unlink()
    made = {name: secrets.token_urlsafe(32) for name in NAMES}
    with tempfile.NamedTemporaryFile(dir=path.parent) as file:  # with mode 0600
        file.write(msgspec.json.encode(made))
        file.flush()
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)
    return _read(path) or made


def _read(path: Path) -> dict[str, str] | None:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except msgspec.DecodeError:
        return None
    path.chmod(0o600)
    return {name: found[name] for name in NAMES} if found.keys() >= set(NAMES) else None
