"""The access tokens in the cookies that Supabase's server-side clients keep.

A session is in ``sb-<project>-auth-token``, or, where it is too long for one cookie, in its parts ``.0``, ``.1``, …
A browser may bring the sessions of several projects that share a host (localhost, previews), and parts that an earlier,
longer session has left behind a shorter one.
"""

import base64
import json
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

MAX_SESSIONS = 4
"""Most sessions that are looked at."""

MAX_PARTS = 20
"""Most parts of one session."""

MAX_LENGTH = MAX_PARTS * 3180
"""Longest session that is looked at, in characters: Supabase's parts have at most 3,180."""

_SESSION = re.compile(r"(sb-.+-auth-token)(?:\.(\d{1,2}))?\Z")

_BASE64 = re.compile(r"[A-Za-z0-9_-]*")

_JSON = json.JSONDecoder()


class SessionToken(NamedTuple):
    """The access token of a session."""

    token: str
    own: bool
    """Whether its cookie has the project's own name; there may be others', and projects with a domain of their own."""


def cookie_of_project(supabase_url: str) -> str:
    """The cookie's name that supabase-js makes of the project's URL."""
    return f"sb-{(urlsplit(supabase_url).hostname or '').partition('.')[0]}-auth-token"


def session_tokens(headers: Headers, preferred: str) -> list[SessionToken]:
    """The access tokens of the request's sessions, those of the cookie `preferred` first.

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
    found = {
        SessionToken(token, name == preferred): None
        for name in names
        for session in _readings(sessions[name])
        if len(session) <= MAX_LENGTH and (token := _access_token(session)) is not None
    }
    return list(found)


def _readings(values: dict[int, str]) -> Iterator[str]:
    """What the session may be: the whole cookie, or all its parts. Which one was left behind is not to be seen."""
    if -1 in values:
        yield values[-1]
    parts: list[str] = []
    while len(parts) < MAX_PARTS and len(parts) in values:
        parts.append(values[len(parts)])
    if parts:
        yield "".join(parts)


def _access_token(session: str) -> str | None:
    """The token in the JSON with which `session` begins. What follows is the rest of an earlier, longer session."""
    text = _decoded(session.removeprefix("base64-")) if session.startswith("base64-") else unquote(session)
    try:
        content, _ = _JSON.raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return None
    token = content.get("access_token") if isinstance(content, dict) else None
    return token if isinstance(token, str) and token.isascii() else None


def _decoded(encoded: str) -> str:
    """The text with which `encoded` begins. Six bits a character: what is wrong further back spoils nothing here."""
    match = _BASE64.match(encoded)
    good = "" if match is None else match[0]
    good = good[: len(good) - (len(good) % 4 == 1)]
    return base64.urlsafe_b64decode(good + "=" * (-len(good) % 4)).decode(errors="replace")
