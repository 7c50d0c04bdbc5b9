"""The access token in the cookie that Supabase's server-side clients keep."""

import re
from urllib.parse import unquote

import msgspec
from jwt.utils import base64url_decode
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

_SESSION = re.compile(r"sb-.+-auth-token(?:\.(\d{1,2}))?\Z")


def session_token(headers: Headers) -> str | None:
    """The access token in Supabase's session cookie (``sb-<ref>-auth-token``, or its parts ``.0``, ``.1``, …)."""
    values: dict[str, str] = {}
    for line in headers.getlist("cookie"):
        values.update(cookie_parser(line))
    whole = next((value for name, value in values.items() if (m := _SESSION.match(name)) and m[1] is None), None)
    if whole is None:
        parts = sorted((int(m[1]), value) for name, value in values.items() if (m := _SESSION.match(name)) and m[1])
        if not parts or [number for number, _ in parts] != list(range(len(parts))):
            return None
        whole = "".join(value for _, value in parts)
    return _access_token(whole)


def _access_token(session: str) -> str | None:
    if session.startswith("base64-"):
        try:
            session = base64url_decode(session.removeprefix("base64-")).decode()
        except ValueError:
            return None
    else:
        session = unquote(session)
    try:
        decoded = msgspec.json.decode(session)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    token = decoded.get("access_token") if isinstance(decoded, dict) else None
    return token if isinstance(token, str) else None
