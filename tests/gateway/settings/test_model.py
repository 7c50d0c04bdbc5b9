"""The settings: read from the environment and .env, and every problem told at once."""

from pathlib import Path

import jwt
import pytest
from jwt.utils import base64url_encode

from gateway.settings import DEVELOPMENT_SECRETS, Settings, SettingsError
from gateway.settings.secret_values import role_of_key

GOOD = {
    "ENVIRONMENT": "production",
    "APP_URL": "https://app.example.com",
    "N8N_WEBHOOK_URL": "https://n8n.example.com/webhook/x",
    "N8N_WEBHOOK_SECRET": "w" * 32,
    "AI_CALLBACK_SECRET": "c" * 32,
    "SUPABASE_JWT_SECRET": "j" * 32,
}


def problems(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> list[str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    try:
        Settings.load()
    except SettingsError as error:
        return error.problems
    return []


def test_development_needs_nothing() -> None:
    settings = Settings.load()
    assert settings.environment == "development"
    assert settings.database_url.get_secret_value() == "sqlite:///gateway.sqlite3"
    assert settings.has_weak_secrets


def test_a_good_production(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, GOOD) == []
    assert not Settings.load().has_weak_secrets
    assert Settings.load().form_mode == "production"


def test_production_reports_every_problem_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(
        monkeypatch,
        {
            "ENVIRONMENT": "production",
            "AI_CALLBACK_SECRET": "another-secret-token-for-callback-verification",
            "SUPABASE_JWT_SECRET": "short",
            "DATABASE_URL": "mysql://x",
            "AI_GENERATION_RATE_LIMIT_PER_HOUR": "many",
        },
    )
    told = "\n".join(found)
    for name in (
        "APP_URL",
        "N8N_WEBHOOK_URL",
        "N8N_WEBHOOK_SECRET",
        "AI_CALLBACK_SECRET",
        "SUPABASE_JWT_SECRET",
        "DATABASE_URL",
        "AI_GENERATION_RATE_LIMIT_PER_HOUR",
    ):
        assert name in told
    assert len(found) == 7


@pytest.mark.parametrize("name", ["N8N_WEBHOOK_SECRET", "AI_CALLBACK_SECRET", "SUPABASE_JWT_SECRET"])
@pytest.mark.parametrize("value", ["", "s" * 31, DEVELOPMENT_SECRETS["ai_callback_secret"], "é" * 40])
def test_weak_secrets_stop_production(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    (problem,) = problems(monkeypatch, {**GOOD, name: value})
    assert problem.startswith(name)


def test_no_value_is_ever_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(
        monkeypatch,
        {
            **GOOD,
            "AI_CALLBACK_SECRET": "hidden-but-short",
            "REDIS_URL": "http://user:hidden@h",
            "N8N_TIMEOUT_SECONDS": "hidden",
        },
    )
    assert len(found) == 3
    assert "hidden" not in "\n".join(found)


def test_secrets_are_not_in_a_repr() -> None:
    settings = Settings.load({"redis_url": "redis://:hidden@h", "database_url": "postgresql://u:hidden@h/d"})
    assert "hidden" not in repr(settings)


NO_ORIGINS = (
    *("*", "null", "app.example.com", "ftp://a.example", "https://*.vercel.app"),
    *("https://a.example/path", "https://a.example?x", "https://u@a.example"),
)


@pytest.mark.parametrize("origins", NO_ORIGINS)
def test_origins_are_origins(monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    (problem,) = problems(monkeypatch, {"ALLOWED_ORIGINS": origins})
    assert "ALLOWED_ORIGINS" in problem


def test_origins_are_compared_as_browsers_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_URL", "http://LocalHost:80/")
    monkeypatch.setenv("ALLOWED_ORIGINS", " http://localhost:3000/, https://b.example ,")
    assert Settings.load().origins == {"http://localhost", "http://localhost:3000", "https://b.example"}


@pytest.mark.parametrize("environment", ["production", "development"])
@pytest.mark.parametrize("name", list(DEVELOPMENT_SECRETS))
def test_a_secret_that_everyone_knows_opens_no_public_gateway(
    monkeypatch: pytest.MonkeyPatch, environment: str, name: str
) -> None:
    """Served on the loopback address behind a proxy: whoever signs a token with it would be an administrator."""
    weak = {name.upper(): DEVELOPMENT_SECRETS[name]}
    (problem,) = problems(monkeypatch, {**GOOD, "ENVIRONMENT": environment, **weak})
    assert problem.startswith(name.upper())


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.2", "http://host.docker.internal:8000"])
def test_on_this_machine_the_known_secrets_do(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert problems(monkeypatch, {"APP_URL": url}) == []


SPOILT = ("{}\r", "{}\n", "\ufeff{}", " {}\t", "{}\r\n")


@pytest.mark.parametrize("spoilt", SPOILT)
def test_what_editors_leave_at_the_ends_is_nobody_s_meaning(monkeypatch: pytest.MonkeyPatch, spoilt: str) -> None:
    assert problems(monkeypatch, {name: spoilt.format(value) for name, value in GOOD.items()}) == []
    settings = Settings.load()
    assert settings.app_url == GOOD["APP_URL"]
    assert settings.n8n_webhook_url == GOOD["N8N_WEBHOOK_URL"]
    for name in DEVELOPMENT_SECRETS:
        assert getattr(settings, name).get_secret_value() == GOOD[name.upper()]


def test_an_empty_app_url_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """n8n would be told to call back to a path without a host."""
    assert problems(monkeypatch, {"APP_URL": ""}) == []
    assert Settings.load().callback_url == "http://127.0.0.1:8000/api/ai-callback"
    (problem,) = problems(monkeypatch, {**GOOD, "APP_URL": ""})
    assert problem.startswith("APP_URL is not set")


def numbers() -> list[str]:
    """The names of all settings that are numbers."""
    return [name for name, field in Settings.model_fields.items() if isinstance(field.default, int | float)]


def test_there_are_numbers() -> None:
    assert len(numbers()) > 15


@pytest.mark.parametrize("name", numbers())
@pytest.mark.parametrize("value", ["inf", "nan", "1e300", "-1", "9" * 30])
def test_every_number_has_bounds(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    (problem,) = problems(monkeypatch, {name.upper(): value})
    assert problem.startswith(name.upper())


@pytest.mark.parametrize("name", [name for name in numbers() if name not in ("clock_skew_seconds", "drain_seconds")])
def test_no_time_and_no_limit_is_next_to_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (problem,) = problems(monkeypatch, {name.upper(): "1e-9"})
    assert problem.startswith(name.upper())


def test_believing_every_proxy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, {"FORWARDED_ALLOW_IPS": "10.0.0.1, 192.168.0.0/16"}) == []
    assert Settings.load().warnings == ()
    assert problems(monkeypatch, {"FORWARDED_ALLOW_IPS": "*"}) == []
    (warning,) = Settings.load().warnings
    assert warning.startswith("FORWARDED_ALLOW_IPS is *")


@pytest.mark.parametrize("name", ["N8N_API_KEY", "METRICS_TOKEN", "SUPABASE_SERVICE_ROLE_KEY"])
def test_what_is_sent_in_a_header_can_be(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    found = problems(monkeypatch, {name: "né\nw", "N8N_API_URL": "http://n8n.example" if name == "N8N_API_KEY" else ""})
    assert any(problem.startswith(f"{name} must be printable ASCII") for problem in found), found


def test_a_dotenv_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AI_DEADLINE_SECONDS=77\nN8N_CONCURRENCY=5\nUNKNOWN=1\nREDIS_URL=\n")
    monkeypatch.setenv("N8N_CONCURRENCY", "6")
    settings = Settings.load()
    assert (settings.ai_deadline_seconds, settings.n8n_concurrency, settings.redis_url) == (77, 6, None)


def test_what_more_processes_need() -> None:
    assert Settings.load().single_process_reason is not None
    shared = Settings.load({"database_url": "postgres://h/d", "redis_url": "rediss://h"})
    assert shared.single_process_reason is None


def test_a_key_of_any_form_has_no_role_or_one() -> None:
    for head in (b"[" * 30_000, b"\xff", b"[]"):
        assert role_of_key(f"{base64url_encode(head).decode()}.e30.x") is None


WRONG = [
    ({"SUPABASE_ANON_KEY": "sb_secret_x"}, "SUPABASE_ANON_KEY is a secret key"),
    ({"SUPABASE_SERVICE_ROLE_KEY": "sb_publishable_x"}, "SUPABASE_SERVICE_ROLE_KEY is a publishable key"),
    ({"SUPABASE_SERVICE_ROLE_KEY": jwt.encode({"role": "anon"}, "k" * 32)}, "is a publishable key"),
    ({"SUPABASE_ANON_KEY": jwt.encode({"role": "service_role"}, "k" * 32)}, "is a secret key"),
    (
        {"STORAGE_PRIVATE_BUCKETS": "private"},
        "STORAGE_PRIVATE_BUCKETS needs SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY",
    ),
    ({"N8N_API_URL": "https://n8n.example.com"}, "N8N_API_KEY and N8N_API_URL belong together"),
    ({"N8N_API_KEY": "k"}, "N8N_API_KEY and N8N_API_URL belong together"),
    ({"N8N_API_URL": "n8n.example.com", "N8N_API_KEY": "k"}, "N8N_API_URL must be a URL"),
    ({"N8N_EDITOR_URL": "https://automation.example.com"}, "N8N_EDITOR_URL must be the address that a browser shows"),
    ({"N8N_EDITOR_URL": "https://n8n.example.com/workflow/new"}, "N8N_EDITOR_URL must be the address"),
    ({"N8N_EDITOR_URL": "https://me:pw@n8n.example.com/workflow/a"}, "N8N_EDITOR_URL must be the address"),
    ({"N8N_EDITOR_URL": "javascript:alert(1)//workflow/a"}, "N8N_EDITOR_URL must be a URL"),
    ({"AI_GENERATION_MODE": "both"}, "AI_GENERATION_MODE"),
    ({"AI_SYNC_TIMEOUT_SECONDS": "0"}, "AI_SYNC_TIMEOUT_SECONDS"),
    ({"AI_GENERATION_COST": "NaN"}, "AI_GENERATION_COST"),
    ({"AI_GENERATION_COST": "-1"}, "AI_GENERATION_COST"),
    ({"AI_ORG_MONTHLY_BUDGET": "lots"}, "AI_ORG_MONTHLY_BUDGET"),
    ({"AI_ORG_MONTHLY_BUDGET": "10"}, "AI_ORG_MONTHLY_BUDGET needs an AI_GENERATION_COST"),
    ({"AI_ORG_MONTHLY_BUDGET": "10", "AI_GENERATION_COST": "0"}, "AI_ORG_MONTHLY_BUDGET needs an AI_GENERATION_COST"),
    ({"ALERT_WEBHOOK_URL": "slack"}, "ALERT_WEBHOOK_URL must be a URL"),
    ({"ALERT_WEBHOOK_URL": "https:///hidden-path"}, "ALERT_WEBHOOK_URL must be a URL"),
    ({"ALERT_WEBHOOK_URL": "https://chat.example:hidden/x"}, "ALERT_WEBHOOK_URL is no URL"),
    ({"N8N_WEBHOOK_URL": "http://n8n:abc/x"}, "N8N_WEBHOOK_URL is no URL"),
    ({"N8N_WEBHOOK_URL": "https://xn--a/webhook"}, "N8N_WEBHOOK_URL is no URL"),
    ({"APP_URL": "gateway.example.com"}, "APP_URL must be a URL"),
    ({"APP_URL": '"https://gateway.example.com"'}, "APP_URL is no URL"),
    ({"APP_URL": "https://gateway.example.com,"}, "APP_URL is no URL"),
    ({"APP_URL": "https://gateway.example.com/gateway/"}, "APP_URL must not have a path"),
    ({"APP_URL": "https://gateway.example.com?x=1"}, "APP_URL must be the beginning of a URL"),
    ({"FORWARDED_ALLOW_IPS": "x"}, "FORWARDED_ALLOW_IPS must list addresses"),
    ({"ALLOWED_HEADERS": "X-Trace, *all"}, "ALLOWED_HEADERS must list names"),
    ({"DATABASE_URL": "postgresql://gateway:hid/den@db.example/postgres"}, "DATABASE_URL cannot be read"),
    ({"REDIS_URL": "redis://:hid/den@redis.example"}, "REDIS_URL cannot be read"),
]


@pytest.mark.parametrize(("environment", "told"), WRONG)
def test_what_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], told: str) -> None:
    found = problems(monkeypatch, environment)
    assert any(told in problem for problem in found), found
    assert not any(value in problem for problem in found for value in environment.values() if len(value) > 10)
    assert not any("hid" in problem for problem in found)


def test_a_newline_after_a_url_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As files with secrets have it."""
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "https://chat.example/hook?key=a%2Fb\n")
    url = Settings.load().alert_webhook_url
    assert url is not None
    assert url.get_secret_value() == "https://chat.example/hook?key=a%2Fb"


def test_a_project_that_signs_with_published_keys_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty secret is a decision, a missing one a mistake."""
    project = {"SUPABASE_URL": "https://project.supabase.co"}
    assert problems(monkeypatch, GOOD | project | {"SUPABASE_JWT_SECRET": ""}) == []
    assert not Settings.load().has_weak_secrets
    monkeypatch.delenv("SUPABASE_JWT_SECRET")
    (told,) = problems(monkeypatch, {})
    assert "SUPABASE_JWT_SECRET" in told
    monkeypatch.delenv("SUPABASE_URL")
    (told,) = problems(monkeypatch, {"SUPABASE_JWT_SECRET": ""})
    assert "SUPABASE_JWT_SECRET" in told


def test_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_BUCKETS", "ai-images, campaign")
    assert Settings.load().allowed_buckets == {"ai-images", "campaign"}
    monkeypatch.delenv("STORAGE_BUCKETS")
    assert Settings.load().allowed_buckets == frozenset()


@pytest.mark.parametrize(("text", "code"), [("USD", "USD"), ("eur", "EUR"), (" chf\n", "CHF"), ("", None)])
def test_a_currency_is_a_code(monkeypatch: pytest.MonkeyPatch, text: str, code: str | None) -> None:
    monkeypatch.setenv("AI_CURRENCY", text)
    assert Settings.load().ai_currency == code


@pytest.mark.parametrize("text", ["EURO", "$", "12A", "E€R", "ＵＳＤ"])
def test_what_is_no_currency(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (problem,) = problems(monkeypatch, {"AI_CURRENCY": text})
    assert problem.startswith("AI_CURRENCY must be a currency's code of three letters (ISO 4217)")
