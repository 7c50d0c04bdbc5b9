"""The session cookie: every form that it comes in, and what is none."""

import base64

import pytest
from starlette.datastructures import Headers

from gateway.auth.session_cookie import session_token
from tests.session_cookies import cookie


@pytest.mark.parametrize("form", ["base64", "json", "chunked"])
def test_the_session_cookie_in_all_its_forms(form: str) -> None:
    assert session_token(Headers({"cookie": cookie("the.access.token", form=form)})) == "the.access.token"


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
    assert session_token(Headers({"cookie": broken})) is None
