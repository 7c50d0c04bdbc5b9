"""Tokens remembered as good: by digest, bounded, and never good for longer than their end or their key."""

import time
from typing import Any

import pytest

from gateway.auth import verified_tokens
from gateway.auth.tokens import Authenticator, InvalidToken, issue_token
from gateway.auth.verified_tokens import User, VerifiedTokens
from gateway.settings import Settings

SECRET = "a-secret-of-the-tests-" + "s" * 64
ADA = "11111111-1111-4111-8111-111111111111"


def user(name: str) -> User:
    return User(name, is_admin=False, expires_at=1.0)


def token(secret: str) -> str:
    return issue_token(secret, ADA, admin=False, lifetime=60)


def test_a_token_is_found_again_and_another_is_not() -> None:
    remembered = VerifiedTokens()
    remembered.add("one", user("ada"), None)
    found = remembered.get("one")
    assert found is not None
    assert (found.user.id, found.key) == ("ada", None)
    for other in ("", "One", "one ", "two", "\udcff"):
        assert remembered.get(other) is None


def test_the_tokens_themselves_are_not_kept() -> None:
    remembered = VerifiedTokens()
    remembered.add("a-secret-token", user("ada"), None)
    assert "a-secret-token" not in repr(vars(remembered))


def test_the_one_used_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified_tokens, "MAX_REMEMBERED", 2)
    remembered = VerifiedTokens()
    for name in ("one", "two"):
        remembered.add(name, user(name), None)
    remembered.get("one")
    remembered.add("three", user("three"), None)
    assert [remembered.get(name) is not None for name in ("one", "two", "three")] == [True, False, True]


def verifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signatures are verified from now on."""
    verified: list[str] = []
    verify = Authenticator._verify

    def noted(authenticator: Authenticator, given: str, *key: Any) -> User:
        verified.append(given)
        return verify(authenticator, given, *key)

    monkeypatch.setattr(Authenticator, "_verify", noted)
    return verified


async def test_a_good_token_is_verified_once_and_a_bad_one_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    authenticator = Authenticator(Settings.load({"supabase_jwt_secret": SECRET}))
    verified = verifications(monkeypatch)
    good, bad = token(SECRET), token("another-" + SECRET)
    for _ in range(3):
        assert (await authenticator.user_of_token(good)).id == ADA
        with pytest.raises(InvalidToken):
            await authenticator.user_of_token(bad)
    assert verified.count(good) == 1
    assert verified.count(bad) == 3


async def test_a_remembered_token_ends_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    authenticator = Authenticator(Settings.load({"supabase_jwt_secret": SECRET}))
    good = token(SECRET)
    await authenticator.user_of_token(good)
    later = time.time() + 90
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(InvalidToken):
        await authenticator.user_of_token(good)
