"""Claims: of all processes one is the first, and every one is while they cannot ask each other."""

import pytest

from gateway.alerting.claims import Claims, InProcessClaims, RedisClaims
from tests.servers import Valkey


async def test_one_of_all_claims_and_one_releases(backend: str, redis_url: str | None) -> None:
    claims: Claims = InProcessClaims() if redis_url is None else RedisClaims(redis_url, "tests:")
    other = claims if redis_url is None else RedisClaims(redis_url, "tests:")
    for _ in range(2):
        assert [await each.claim("x") for each in (claims, other, claims)] == [True, False, False]
        assert [await each.release("x", certain=True) for each in (other, claims, other)] == [True, False, False]
    assert not await claims.release("y", certain=False), "nobody had claimed it"
    for each in (claims, other):
        await each.aclose()


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_claims_that_redis_has_forgotten(backend: str) -> None:
    with Valkey() as valkey:
        processes = [RedisClaims(valkey.url, "tests:") for _ in range(2)]
        assert [await each.claim("x") for each in processes] == [True, False]
        valkey.kill()
        assert [await each.claim("x") for each in processes] == [True, True], "twice is better than not at all"
        assert not await processes[0].release("x", certain=False)
        valkey.start()
        assert [await each.release("x", certain=True) for each in processes] == [True, False]
    for each in processes:
        await each.aclose()


async def test_a_redis_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with Valkey() as valkey:
        claims = RedisClaims(valkey.url, "tests:")
        assert await claims.claim("x")
        monkeypatch.setattr("gateway.alerting.claims.TIMEOUT_SECONDS", 0.1)
        valkey.freeze()
        assert await claims.claim("x")
        valkey.thaw()
        assert not await claims.claim("x")
    await claims.aclose()
