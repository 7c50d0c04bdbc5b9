"""The settings: read from the environment and .env, and every problem told at once."""

from pathlib import Path

import pytest

from gateway.settings import DEVELOPMENT_SECRETS, Settings, SettingsError, origin_of

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


@pytest.mark.parametrize("origins", ["*", "app.example.com", "https://a.example/path", "ftp://a.example"])
def test_origins_are_origins(monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    (problem,) = problems(monkeypatch, {"ALLOWED_ORIGINS": origins})
    assert "ALLOWED_ORIGINS" in problem


def test_origins_are_compared_as_browsers_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_URL", "https://App.example.com:443/")
    monkeypatch.setenv("ALLOWED_ORIGINS", " http://localhost:3000/, https://b.example ,")
    assert Settings.load().origins == {"https://app.example.com", "http://localhost:3000", "https://b.example"}
    assert origin_of("http://[::1]:8000/x") == "http://[::1]:8000"


def test_a_dotenv_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AI_DEADLINE_SECONDS=77\nN8N_CONCURRENCY=5\nUNKNOWN=1\nREDIS_URL=\n")
    monkeypatch.setenv("N8N_CONCURRENCY", "6")
    settings = Settings.load()
    assert (settings.ai_deadline_seconds, settings.n8n_concurrency, settings.redis_url) == (77, 6, None)


def test_what_more_processes_need() -> None:
    assert Settings.load().single_process_reason is not None
    shared = Settings.load({"database_url": "postgres://h/d", "redis_url": "rediss://h"})
    assert shared.single_process_reason is None
