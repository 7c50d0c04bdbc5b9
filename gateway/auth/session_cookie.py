"""The access tokens in the cookies that Supabase's server-side clients keep.

A session is in ``sb-<project>-auth-token``, or, where it is too long for one cookie, in its parts ``.0``, ``.1``, …
A browser may bring the sessions of several projects that share a host (localhost, previews), and parts that an earlier,
longer session has left behind a shorter one.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import msgspec
from jwt.utils import base64url_decode
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

MAX_SESSIONS = 4
"""Most sessions that are looked at."""

MAX_PARTS = 20
"""Most parts of one session; Supabase's have 3,180 bytes."""

SHORTER_READINGS = 2
"""How many shorter sessions are looked for in front of parts that do not make sense together."""

_SESSION = re.compile(r"(sb-.+-auth-token)(?:\.(\d{1,2}))?\Z")


def cookie_of_project(supabase_url: str) -> str:
    """The cookie's name that supabase-js makes of the project's URL."""
    return f"sb-{(urlsplit(supabase_url).hostname or '').partition('.')[0]}-auth-token"


def session_tokens(headers: Headers, preferred: str) -> list[str]:
    """The access tokens of the request's sessions, that of the cookie `preferred` first.

    Args:
        headers: the request's.
        preferred: the name of the project's cookie (`cookie_of_project`).
    """
    sessions: dict[str, dict[int, str]] = {}
    for line in headers.getlist("cookie"):
        for name, value in cookie_parser(line).items():
            if (match := _SESSION.match(name)) is not None:
                sessions.setdefault(match[1], {})[-1 if match[2] is None else int(match[2])] = value
    names = sorted(sessions, key=lambda name: name != preferred)[:MAX_SESSIONS]
    found = (_token_of(sessions[name]) for name in names)
    return [token for token in found if token is not None]


def _token_of(values: dict[int, str]) -> str | None:
    return next((token for session in _readings(values) if (token := _access_token(session)) is not None), None)


def _readings(values: dict[int, str]) -> Iterator[str]:
    """What the session may be: the whole cookie, all its parts together, or the first ones alone.

    Few readings, as whoever sends cookies chooses how long they are.
    """
    if -1 in values:
        yield values[-1]
    parts: list[str] = []
    while len(parts) < MAX_PARTS and len(parts) in values:
        parts.append(values[len(parts)])
    if parts:
        yield "".join(parts)
    for count in range(1, min(SHORTER_READINGS + 1, len(parts))):
        yield "".join(parts[:count])


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
