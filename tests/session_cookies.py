"""The session cookie as Supabase's `@supabase/ssr` sets it."""

import base64
import json
from urllib.parse import quote


def cookie(access_token: str, *, form: str = "base64", name: str = "sb-project-auth-token") -> str:
    """A Cookie header with the session among others; `form` is `base64`, `json` or `chunked`."""
    session = json.dumps({"access_token": access_token, "expires_at": 1, "user": {"email": "ä@example.com"}})
    if form == "json":
        return f"{name}={quote(session)}"
    encoded = "base64-" + base64.urlsafe_b64encode(session.encode()).rstrip(b"=").decode()
    if form == "base64":
        return f"theme=dark; {name}={encoded}; other=1"
    pieces = [encoded[start : start + 100] for start in range(0, len(encoded), 100)]
    return "; ".join(f"{name}.{number}={piece}" for number, piece in reversed(list(enumerate(pieces))))
