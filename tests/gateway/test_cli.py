"""The commands, as a person types them."""

import asyncio
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.auth.tokens import Authenticator
from gateway.cli import main
from gateway.settings import Settings
from storage import migrations
from storage.database import schema
from tests.servers import Postgres, Valkey, free_port


def run(*arguments: str, expect: int = 0) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == expect, result.output
    return result.output


def test_token_prints_the_token_alone() -> None:
    user = str(uuid.uuid4())
    output = run("token", "--user", user, "--admin", "--expires", "60")
    assert output.count("\n") == 1
    found = asyncio.run(Authenticator(Settings.load()).user_of_token(output.strip()))
    assert (found.id, found.is_admin) == (user, True)


def test_token_wants_a_uuid() -> None:
    assert "--user" in run("token", "--user", "ada", expect=2)


def test_migrate_and_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("N8N_WEBHOOK_URL", f"http://127.0.0.1:{free_port()}/webhook/x")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    output = run("check", expect=1)
    assert "3 problems found" in output
    for name in ("DATABASE_URL", "REDIS_URL", "N8N_WEBHOOK_URL"):
        assert name in output
    assert "gateway migrate" in output
    assert run("migrate") == "The database is up to date.\n"
    assert (tmp_path / "gateway.sqlite3").exists()
    output = run("check", expect=1)
    assert "DATABASE_URL" not in output


def test_check_tells_of_settings_and_connections_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And tries nothing that rests on a wrong setting."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("NEXT_PUBLIC_APP_URL", "gateway.example.com")
    monkeypatch.setenv("N8N_WEBHOOK_URL", f"http://127.0.0.1:{free_port()}/webhook/x")
    monkeypatch.setenv("DATABASE_URL", "mysql://db")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    monkeypatch.setenv("N8N_API_URL", f"http://127.0.0.1:{free_port()}")
    output = run("check", expect=1)
    assert "8 problems found" in output, output
    for name in (
        "  - APP_URL must be a URL",
        "N8N_WEBHOOK_SECRET is not set",
        "AI_CALLBACK_SECRET is not set",
        "SUPABASE_JWT_SECRET is not set",
        "DATABASE_URL must start with",
        "REDIS_URL: cannot be reached",
        "N8N_WEBHOOK_URL: n8n cannot be reached",
        "N8N_API_KEY and N8N_API_URL belong together",
    ):
        assert output.count(name) == 1, output


def test_a_weak_secret_keeps_check_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_URL", "https://gateway.example.com")
    monkeypatch.setenv("AI_CALLBACK_SECRET", "c" * 32)
    monkeypatch.setenv("SUPABASE_JWT_SECRET", "j" * 32)
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    output = run("check", expect=1)
    assert "N8N_WEBHOOK_SECRET is not set" in output
    assert "REDIS_URL: cannot be reached" in output


def test_check_finds_nothing_wrong(postgres: Postgres, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres.url("migrated"))
    monkeypatch.setenv("REDIS_URL", valkey.url)
    with Valkey() as listening:  # any listener: check opens a connection and starts no workflow
        monkeypatch.setenv("N8N_WEBHOOK_URL", f"http://127.0.0.1:{listening.port}/webhook/x")
        output = run("check", expect=1)
        assert "1 problem found" in output
        assert "N8N_WEBHOOK_URL" in output


def test_serve_wants_a_migrated_database() -> None:
    assert "run `gateway migrate`" in run("serve", "--port", "0", expect=1)


def test_serve_tells_of_an_unreachable_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:hidden@127.0.0.1:{free_port()}/d")
    output = run("serve", "--port", "0", expect=1)
    assert "DATABASE_URL cannot be reached" in output
    assert "hidden" not in output


def test_a_file_that_is_no_database_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.sqlite3").write_bytes(b"not a database" * 100)
    monkeypatch.setenv("DATABASE_URL", "sqlite:///x.sqlite3")
    assert "not a database" in run("serve", "--port", "0", expect=1)


@pytest.mark.parametrize("secret", ["", "short"])
def test_guessable_secrets_do_not_leave_the_machine(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("N8N_WEBHOOK_SECRET", "SUPABASE_JWT_SECRET"):
        monkeypatch.setenv(name, "g" * 40)
    monkeypatch.setenv("AI_CALLBACK_SECRET", secret)
    assert "AI_CALLBACK_SECRET" in run("serve", "--host", "0.0.0.0", expect=1)


def test_known_secrets_do_not_leave_the_machine() -> None:
    assert "development secrets are known" in run("serve", "--host", "0.0.0.0", expect=1)


def test_the_demo_refuses_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    assert "refuses to run" in run("demo", expect=1)


def test_a_port_in_use_is_told(valkey: Valkey) -> None:
    output = run("demo", "--port", str(valkey.port), expect=1)
    assert f"127.0.0.1:{valkey.port}" in output
    assert "--port" in output


def test_bad_settings_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    output = run("serve", expect=1)
    assert output.count("  - ") == 5


def test_generate_tells_when_nobody_answers() -> None:
    assert "No gateway answers" in run("generate", "a", "b", "--url", f"http://127.0.0.1:{free_port()}", expect=1)


def test_the_sql_of_the_migrations_is_what_migrate_does(postgres: Postgres, tmp_path: Path) -> None:
    postgres.execute("CREATE DATABASE from_sql")
    postgres.execute(run("migrate", "--sql"), "from_sql")
    columns = (
        "SELECT string_agg(concat_ws(' ', table_name, column_name, data_type, column_default, is_nullable), E'\\n' "
        "ORDER BY table_name, column_name) FROM information_schema.columns WHERE table_schema IN ('public', 'auth')"
    )
    assert postgres.execute(columns, "from_sql") == postgres.execute(columns, "migrated")


def test_the_code_knows_the_newest_migration() -> None:
    from alembic.script import ScriptDirectory

    assert ScriptDirectory.from_config(migrations._config()).get_current_head() == schema.VERSION
