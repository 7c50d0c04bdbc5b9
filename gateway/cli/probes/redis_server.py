"""Whether Redis carries what the gateway publishes: subscribed to, published, heard, and a claim set."""

import asyncio
import uuid

from redis.asyncio import Redis
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import AuthenticationError, NoPermissionError, ReadOnlyError, RedisError, ResponseError

from gateway.cli.probes.finding import Finding, not_set, ok, problem
from gateway.cli.reasons import why_unreachable
from gateway.realtime.redis_bus import PREFIX
from gateway.settings import Settings
from gateway.settings.redis_url import RedisUrlError, new_pool, read_redis_url

SECONDS = 5.0
"""Longest wait for one answer."""

LEAST_RIGHTS = f"~{PREFIX}* &{PREFIX}* +publish +subscribe +unsubscribe +set +ping"
"""What an ACL user needs (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/)."""


async def probe(settings: Settings) -> list[Finding]:
    """Hear what was published, on a channel of this probe's own, and set a key as claims do; it is gone in a second."""
    about = "REDIS_URL"
    if settings.redis_url is None:
        return [not_set(about, "changes stay within this process: one process, no restart without a gap")]
    try:
        redis: Redis = Redis.from_pool(new_pool(settings.redis_url.get_secret_value(), SECONDS))
    except RedisUrlError as error:
        return [problem(about, str(error))]
    try:
        async with redis, asyncio.timeout(3 * SECONDS):
            await redis.ping()
            if await _is_sentinel(redis):
                return [
                    problem(about, "is a Sentinel's port: write redis+sentinel://host:port/the-name-of-the-primary")
                ]
            heard = await _hears(redis)
            await redis.set(f"{PREFIX}check:{uuid.uuid4()}", b"", ex=1, get=True)  # as claims are set
    except AuthenticationError as error:
        return [problem(about, f"refuses the user or the password ({error})")]
    except NoPermissionError as error:
        return [problem(about, f"the user has not the rights it needs ({error}): {LEAST_RIGHTS}")]
    except ReadOnlyError:
        return [problem(about, "is a read-only replica: the gateway needs the primary")]
    except ResponseError as error:
        if "syntax error" in str(error):
            needs = "SET with GET, which claims need: Redis 6.2 or Valkey does"
            return [problem(about, f"does not know {needs}")]
        return [problem(about, f"refuses what the gateway does ({error})")]
    except MasterNotFoundError:
        sentinels = read_redis_url(settings.redis_url.get_secret_value()).sentinels
        service = "" if sentinels is None else sentinels.service
        return [problem(about, f"no Sentinel knows a primary named {service}, or none answers")]
    except (RedisError, OSError) as error:
        reason = why_unreachable(error)
        silent = "in time" in reason and settings.redis_url.get_secret_value().startswith("rediss:")
        return [problem(about, f"{reason}; perhaps it speaks no TLS: then write redis://" if silent else reason)]
    if not heard:
        return [problem(about, f"what is published is not heard within {SECONDS:g} s")]
    return [ok(about, "published, heard, and wrote")]


async def _is_sentinel(redis: Redis) -> bool:
    try:
        role = await redis.role()
    except (NoPermissionError, ResponseError):
        return False  # a user who may not ask is no Sentinel's: those have no such rights by default
    return bool(role) and role[0] in (b"sentinel", "sentinel")


async def _hears(redis: Redis) -> bool:
    channel = f"{PREFIX}check:{uuid.uuid4()}"
    async with redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(channel)
        await pubsub.get_message(timeout=SECONDS)  # that it is subscribed, or why not
        await redis.publish(channel, b"")
        deadline = asyncio.get_running_loop().time() + SECONDS
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            message = await pubsub.get_message(timeout=left)
            if message is not None and message["type"] == "message":
                return True
    return False
