"""The session cookie: every form that it comes in, and what is none."""

import base64

import pytest
from starlette.datastructures import Headers

from gateway.auth import session_cookie
from gateway.auth.session_cookie import cookie_of_project, session_tokens
from tests.session_cookies import cookie


@pytest.mark.parametrize("form", ["base64", "json", "chunked"])
def test_the_session_cookie_in_all_its_forms(form: str) -> None:
    assert session_tokens(Headers({"cookie": cookie("the.access.token", form=form)}), "") == ["the.access.token"]


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
        "sb-x-auth-token.1=base64-e30",
        "sb-x-auth-token-code-verifier=abc",
        "auth-token=abc",
    ],
)
def test_broken_cookies_are_no_session(broken: str) -> None:
    assert session_tokens(Headers({"cookie": broken}), "") == []


def test_the_projects_own_session_comes_first() -> None:
    name = cookie_of_project("https://ours.supabase.co")
    both = "; ".join((cookie("theirs", name="sb-other-auth-token"), cookie("ours", name="sb-ours-auth-token")))
    assert session_tokens(Headers({"cookie": both}), name) == ["ours", "theirs"]


def test_parts_that_a_longer_session_has_left_behind_are_no_harm() -> None:
    name, fresh, stale = (
        "sb-project-auth-token",
        *(cookie(text).split("; ")[1].partition("=")[2] for text in ("fresh", "stale" * 300)),
    )
    parts = f"{name}.0={fresh}; {name}.1={stale[1000:]}; {name}.2=x"
    assert session_tokens(Headers({"cookie": parts}), "") == ["fresh"]
    assert session_tokens(Headers({"cookie": f"{name}={fresh}; {name}.0={stale[:900]}"}), "") == ["fresh"]


def test_many_parts_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends cookies chooses how many parts they have; no credential is needed for that."""
    looked_at = 0

    def counting(text: str) -> str:
        nonlocal looked_at
        looked_at += len(text)
        return text

    monkeypatch.setattr(session_cookie, "unquote", counting)
    parts = "; ".join(f"sb-x-auth-token.{number}={'%41' * 200}" for number in range(100))
    assert session_tokens(Headers({"cookie": parts}), "") == []
    assert 0 < looked_at < len(parts)
