"""All probes, run at once: on good settings, or on what is good of them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from gateway.cli.probes import database, descriptors, n8n, redis_server, supabase
from gateway.cli.probes.finding import Finding, not_tried, ok, problem, warning
from gateway.cli.startup import warnings_of
from gateway.http_client import environment_problems
from gateway.settings import Settings, SettingsError

Probe = Callable[[Settings], Awaitable[list[Finding]]]

PROBES: tuple[tuple[str, Probe, frozenset[str]], ...] = (
    ("DATABASE_URL", database.probe, frozenset({"database_url"})),
    ("REDIS_URL", redis_server.probe, frozenset({"redis_url"})),
    ("N8N_WEBHOOK_URL", n8n.probe_webhook, frozenset({"n8n_webhook_url"})),
    ("N8N_API_URL", n8n.probe_api, frozenset({"n8n_api_url", "n8n_api_key"})),
    ("SUPABASE_URL", supabase.probe_keys, frozenset({"supabase_url", "supabase_jwt_secret"})),
    (
        "STORAGE_PRIVATE_BUCKETS",
        supabase.probe_storage,
        frozenset({"supabase_url", "supabase_service_role_key", "storage_private_buckets"}),
    ),
    ("WS_CONNECTIONS", descriptors.probe, frozenset({"ws_connections", "http_connections"})),
)
"""What is tried, and the settings on which each probe rests."""


async def try_everything() -> list[Finding]:
    """What this process's settings and everything that they name are like."""
    settings, findings, wrong = _settings()
    findings += [_finding(sentence.rstrip(".")) for sentence in environment_problems()]
    return findings + await try_settings(settings, wrong)


async def try_settings(settings: Settings, wrong: frozenset[str] = frozenset()) -> list[Finding]:
    """What everything that `settings` name is like. What rests on a `wrong` setting is not tried."""
    findings = await asyncio.gather(*(_tried(about, probe, settings, rests & wrong) for about, probe, rests in PROBES))
    return [finding for found in findings for finding in found]


async def _tried(about: str, probe: Probe, settings: Settings, wrong: frozenset[str]) -> list[Finding]:
    if wrong:
        return [not_tried(about, f"{', '.join(sorted(wrong)).upper()} must be mended first")]
    try:
        return await probe(settings)
    except Exception as error:  # noqa: BLE001 - a probe that breaks is a finding, too
        first_line = str(error).partition("\n")[0]
        return [problem(about, f"cannot be tried ({type(error).__name__}: {first_line})")]


def _settings() -> tuple[Settings, list[Finding], frozenset[str]]:
    """The settings with each wrong one left at its default, what is wrong, and the names of those fields."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        findings = [_finding(sentence) for sentence in error.problems]
        settings, wrong = _what_is_good(error.names)
        return settings, findings, wrong
    return settings, [ok("settings", "every value can be used"), *_warnings(settings)], frozenset()


def _what_is_good(wrong: frozenset[str]) -> tuple[Settings, frozenset[str]]:
    while True:
        # Development on this machine: there, every default is good. Nothing is tried that rests on these two.
        defaults = {name: Settings.model_fields[name].default for name in (*wrong, "environment", "app_url")}
        try:
            return Settings.load(defaults), wrong
        except SettingsError as error:  # one that goes with another, which has just become a default
            more = error.names - wrong or frozenset().union(*(names for _, _, names in PROBES if names & wrong))
            wrong = wrong | more if more - wrong else frozenset(Settings.model_fields)


def _finding(sentence: str) -> Finding:
    """A problem with a setting: its sentence begins with the name."""
    name, _, rest = sentence.partition(" ")
    return problem(name.rstrip(":"), rest)


def _warnings(settings: Settings) -> Iterator[Finding]:
    for sentence in warnings_of(settings):
        name, colon, rest = sentence.partition(": ")
        known = colon and name.lower() in Settings.model_fields
        yield warning(name, rest.rstrip(".")) if known else warning("settings", sentence.rstrip("."))
