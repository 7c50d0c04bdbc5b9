"""The session cookie: every form that it comes in, and what is none."""

import base64
import json
import time
from urllib.parse import quote

import pytest
from starlette.datastructures import Headers

from gateway.auth import session_cookie
from gateway.auth.session_cookie import SessionToken, cookie_of_project, session_tokens
from tests.session_cookies import cookie

NAME = "sb-project-auth-token"


def tokens(line: str) -> list[str]:
    return [found.token for found in session_tokens(Headers({"cookie": line}), NAME)]


@pytest.mark.parametrize("form", ["base64", "json", "chunked"])
def test_the_session_cookie_in_all_its_forms(form: str) -> None:
    assert tokens(cookie("the.access.token", form=form)) == ["the.access.token"]


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "sb-x-auth-token=",
        "sb-x-auth-token=base64-%%%",
        "sb-x-auth-token=base64-" + base64.urlsafe_b64encode(b"\xff\xff").decode(),
        "sb-x-auth-token=" + "[" * 20_000,
        "sb-x-auth-token=[1]",
        'sb-x-auth-token={"access_token":1}',
        'sb-x-auth-token={"access_token":"\\ud83d"}',
        'sb-x-auth-token={"access_token":"x"',
        "sb-x-auth-token=" + "9" * 5000,
        "sb-x-auth-token=base64-" + base64.urlsafe_b64encode(b"[" * 20_000).decode(),
        "sb-x-auth-token.1=base64-e30",
        "sb-x-auth-token-code-verifier=abc",
        "auth-token=abc",
    ],
)
def test_broken_cookies_are_no_session(broken: str) -> None:
    assert tokens(broken) == []


def test_the_projects_own_session_comes_first() -> None:
    name = cookie_of_project("https://ours.supabase.co")
    both = "; ".join((cookie("theirs", name="sb-other-auth-token"), cookie("ours", name="sb-ours-auth-token")))
    assert session_tokens(Headers({"cookie": both}), name) == [
        SessionToken("ours", own=True),
        SessionToken("theirs", own=False),
    ]


def written(token: str, form: str, size: int) -> str:
    """A session of `size` characters, as Supabase's clients write it."""
    session = {"access_token": token, "user": {"email": "ä@example.com", "metadata": ""}}

    def whole() -> str:
        text = json.dumps(session)
        return (
            quote(text) if form == "json" else "base64-" + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        )

    while len(whole()) < size:
        session["user"]["metadata"] += "x"  # type: ignore[index]
    return whole()


def parts_of(session: str, size: int) -> list[str]:
    return [session[start : start + size] for start in range(0, len(session), size)]


PART = 120


@pytest.mark.parametrize("stale_form", ["base64", "json"])
@pytest.mark.parametrize("form", ["base64", "json"])
@pytest.mark.parametrize("fresh_parts", range(1, 8))
def test_parts_that_a_longer_session_has_left_behind_are_no_harm(form: str, stale_form: str, fresh_parts: int) -> None:
    """Wherever the fresh one ends in its last part, which is shorter than the others."""
    old = parts_of(written("stale", stale_form, 12 * PART), PART)
    for size in range((fresh_parts - 1) * PART + 2, fresh_parts * PART, 7):
        fresh = parts_of(written("fresh", form, size), PART)
        both = [*fresh, *old[len(fresh) :]]
        assert tokens("; ".join(f"{NAME}.{number}={part}" for number, part in enumerate(both))) == ["fresh"]


def test_a_whole_cookie_and_parts_are_two_sessions() -> None:
    """Which one was left behind is not to be seen: whichever verifies counts."""
    one, other = written("one", "base64", 0), parts_of(written("other", "base64", 300), 100)
    line = "; ".join([f"{NAME}={one}", *(f"{NAME}.{number}={part}" for number, part in enumerate(other))])
    assert tokens(line) == ["one", "other"]
    assert tokens(f"{NAME}={one}; {NAME}.0={one}") == ["one"]


def test_many_parts_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends cookies chooses how many parts they have; no credential is needed for that."""
    looked_at = 0

    def counting(text: str) -> str:
        nonlocal looked_at
        looked_at += len(text)
        return text

    monkeypatch.setattr(session_cookie, "unquote", counting)
    parts = "; ".join(f"sb-x-auth-token.{number}={'%41' * 200}" for number in range(100))
    assert tokens(parts) == []
    assert 0 < looked_at < len(parts)


@pytest.mark.parametrize("form", ["base64", "json"])
def test_a_session_is_as_long_as_its_parts_can_be(form: str) -> None:
    session = written("the.access.token", form, 0).ljust(session_cookie.MAX_LENGTH, "A")
    assert tokens(f"{NAME}={session}") == ["the.access.token"]
    assert tokens(f"{NAME}={session}A") == []


@pytest.mark.parametrize("start", ["", "base64-"])
@pytest.mark.parametrize("character", ["[", "{", '"', "A", "9", "%"])
def test_a_long_cookie_costs_little(start: str, character: str) -> None:
    before = time.process_time()
    for _ in range(20):
        tokens(
            "; ".join(f"{NAME}.{number}={(start if number == 0 else '') + character * 3000}" for number in range(20))
        )
    assert time.process_time() - before < 2, "20 cookies of 60 KB, which no server lets in"
