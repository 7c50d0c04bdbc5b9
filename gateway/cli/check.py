"""`gateway check`: whether the settings are right, and everything that they name can be reached and used."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.auth.callback_secrets import CallbackSecrets
from gateway.auth.signing_keys import KeysUnavailable, published_keys
from gateway.http_client import new_client
from gateway.n8n.executions import Executions, ExecutionsUnavailable
from gateway.settings import Settings, SettingsError
from gateway.signed_urls import NoSuchObject, SignedUrls, StorageUnavailable
from storage.database.open import open_database
from storage.database.schema import check_schema
from storage.errors import StorageError

SECONDS = 5.0
"""Longest wait for one answer."""


async def find_all_problems() -> list[str]:
    """What is wrong with this process's settings, and what does not work of that which the good ones name."""
    settings, problems, wrong = _settings_and_problems()
    return problems + await find_problems(settings, wrong)


async def find_problems(settings: Settings, wrong: frozenset[str] = frozenset()) -> list[str]:
    """One sentence for each thing that does not work; empty when all is well. What rests on a `wrong` setting is not
    tried."""
    tries = [attempt(settings) for attempt, names in _TRIES if not names & wrong]
    return [problem for problem in await asyncio.gather(*tries) if problem is not None]


def _settings_and_problems() -> tuple[Settings, list[str], frozenset[str]]:
    """The settings with each wrong one left at its default, what is wrong, and the names of those fields."""
    try:
        return Settings.load(), [], frozenset()
    except SettingsError as error:
        problems, wrong = error.problems, error.names
    while True:
        # Development on this machine: there, every default is good. Nothing is tried that rests on these two.
        defaults = {name: Settings.model_fields[name].default for name in (*wrong, "environment", "app_url")}
        try:
            return Settings.load(defaults), problems, wrong
        except SettingsError as error:  # one that goes with another, which has just become a default
            more = error.names - wrong or frozenset().union(*(names for _, names in _TRIES if names & wrong))
            wrong = wrong | more if more - wrong else frozenset(Settings.model_fields)


async def _database(settings: Settings) -> str | None:
    try:
        async with asyncio.timeout(SECONDS), open_database(settings.database_url.get_secret_value()) as database:
            await check_schema(database)
    except StorageError as error:
        return f"DATABASE_URL: {error}"
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is the finding
        return f"DATABASE_URL: cannot be reached ({type(error).__name__}: {error})"
    return None


async def _redis(settings: Settings) -> str | None:
    if settings.redis_url is None:
        return None
    redis: Redis = Redis.from_url(settings.redis_url.get_secret_value(), socket_connect_timeout=SECONDS)
    try:
        async with asyncio.timeout(SECONDS):
            await redis.ping()
    except (RedisError, OSError) as error:
        return f"REDIS_URL: cannot be reached ({type(error).__name__})"
    finally:
        await redis.aclose()
    return None


async def _n8n(settings: Settings) -> str | None:
    """Whether something listens there. The webhook itself is not called: that would start the workflow."""
    if not settings.n8n_webhook_url:
        return "N8N_WEBHOOK_URL is not set: no request can be sent."
    if settings.environment == "production" and "/webhook-test/" in settings.n8n_webhook_url:
        return "N8N_WEBHOOK_URL is a test URL, which n8n arms for one call by hand: use the production URL."
    try:
        async with new_client(timeout=SECONDS) as client:
            await client.head(str(httpx.URL(settings.n8n_webhook_url).join("/")))
    except httpx.HTTPError as error:
        return f"N8N_WEBHOOK_URL: n8n cannot be reached ({type(error).__name__})"
    return None


async def _n8n_api(settings: Settings) -> str | None:
    if not settings.n8n_api_url:
        return None
    executions = Executions(settings, CallbackSecrets(settings))
    try:
        await executions.try_out()
    except ExecutionsUnavailable as error:
        return (
            f"N8N_API_URL: executions cannot be read ({error}). Does the key have the scopes execution:read and :list?"
        )
    finally:
        await executions.aclose()
    return None


async def _keys(settings: Settings) -> str | None:
    """Whether any token can be verified. A project that publishes no key signs with the shared secret."""
    if not settings.supabase_url:
        return None
    try:
        keys = await published_keys(settings.supabase_url)
    except KeysUnavailable as error:
        return f"SUPABASE_URL: the project's signing keys cannot be read ({error})"
    if not keys and not settings.supabase_jwt_secret.get_secret_value():
        return "SUPABASE_JWT_SECRET is empty, and the project publishes no key: no user's token can be verified."
    return None


async def _storage(settings: Settings) -> str | None:
    """Whether private pictures can be signed, tried on one that does not exist."""
    if not settings.storage_private_buckets:
        return None
    signed_urls = SignedUrls(settings)
    try:
        await signed_urls.of(f"{settings.storage_private_buckets[0]}/gateway-check")
    except NoSuchObject:
        return None
    except StorageUnavailable as error:
        return f"SUPABASE_SERVICE_ROLE_KEY: Storage does not sign ({error})"
    finally:
        await signed_urls.aclose()
    return None


_TRIES: tuple[tuple[Callable[[Settings], Awaitable[str | None]], frozenset[str]], ...] = (
    (_database, frozenset({"database_url"})),
    (_redis, frozenset({"redis_url"})),
    (_n8n, frozenset({"n8n_webhook_url"})),
    (_n8n_api, frozenset({"n8n_api_url", "n8n_api_key"})),
    (_keys, frozenset({"supabase_url", "supabase_jwt_secret"})),
    (_storage, frozenset({"supabase_url", "supabase_service_role_key", "storage_private_buckets"})),
)
"""What is tried, and the settings on which each try rests."""
