"""The commands, as a person types them."""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import click
import pytest

from gateway.auth.tokens import Authenticator
from gateway.cli.commands import COMMANDS, main
from gateway.server.listener import bind
from gateway.settings import Settings
from storage import migrations
from storage.database import schema
from tests.gateway.cli.typing_commands import run
from tests.servers import Postgres, Valkey, free_port


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
        assert f"problem    {name}: " in output
    assert "gateway migrate" in output
    assert not (tmp_path / "gateway.sqlite3").exists()
    assert run("migrate") == f"Created the tables: the database is now at {schema.VERSION}.\n"
    assert run("migrate") == f"The database is already at {schema.VERSION}.\n"
    assert (tmp_path / "gateway.sqlite3").exists()
    output = run("check", expect=1)
    assert "ok         DATABASE_URL: takes writes" in output
    assert "2 problems found" in output


def test_check_tells_of_settings_and_connections_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And tries nothing that rests on a wrong setting."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("NEXT_PUBLIC_APP_URL", "gateway.example.com")
    monkeypatch.setenv("N8N_API_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("N8N_WEBHOOK_URL", f"http://127.0.0.1:{free_port()}/webhook/x")
    monkeypatch.setenv("DATABASE_URL", "mysql://db")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    output = run("check", expect=1)
    assert "8 problems found" in output, output
    for line in (
        "problem    APP_URL: must be a URL",
        "problem    N8N_WEBHOOK_SECRET: is not set",
        "problem    AI_CALLBACK_SECRET: is not set",
        "problem    SUPABASE_JWT_SECRET: is not set",
        "problem    DATABASE_URL: must start with",
        "problem    REDIS_URL: cannot be reached: nothing listens there",
        "problem    N8N_API_KEY: and N8N_API_URL belong together",
        "not tried  DATABASE_URL: ",
        "problem    N8N_WEBHOOK_URL: cannot be reached: nothing listens there",
        "not tried  N8N_API_URL: ",
    ):
        assert output.count(line) == 1, output


def test_check_as_json(postgres: Postgres, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres.url("migrated") + "?keepalives_idle=30")
    monkeypatch.setenv("REDIS_URL", valkey.url)
    monkeypatch.setenv("WS_CONNECTIONS", "100")
    monkeypatch.setenv("HTTP_CONNECTIONS", "100")
    with Valkey() as listening:  # something that does not speak HTTP
        monkeypatch.setenv("N8N_WEBHOOK_URL", f"http://127.0.0.1:{listening.port}/webhook/x")
        report = json.loads(run("check", "--json", expect=1))
    assert report["ok"] is False
    states = [(finding["about"], finding["state"]) for finding in report["findings"]]
    assert states == [
        ("settings", "ok"),
        ("DATABASE_URL", "warning"),
        ("DATABASE_URL", "ok"),
        ("DATABASE_URL", "ok"),
        ("assets", "ok"),
        ("REDIS_URL", "ok"),
        ("N8N_WEBHOOK_URL", "problem"),
        ("N8N_API_URL", "not set"),
        ("SUPABASE_URL", "not set"),
        ("STORAGE_PRIVATE_BUCKETS", "not set"),
        ("WS_CONNECTIONS", "ok"),
    ]


def test_serve_wants_a_migrated_database() -> None:
    assert "run `gateway migrate`" in run("serve", "--port", "0", expect=1)


def test_serve_tells_of_an_unreachable_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:hidden@127.0.0.1:{free_port()}/d")
    output = run("serve", "--port", "0", expect=1)
    assert "DATABASE_URL: cannot be reached: nothing listens there" in output
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
    assert "nothing listens there" in run("generate", "a", "b", "--url", f"http://127.0.0.1:{free_port()}", expect=1)


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


def test_the_overview_says_what_each_command_says_of_itself() -> None:
    overview = " ".join(run("--help").split())
    for name, (_, sentence) in COMMANDS.items():
        assert f"{name} {sentence}" in overview
        command = main.get_command(click.Context(main), name)
        assert command is not None
        assert command.name == name
        first = (command.help or "").partition("\n\n")[0]
        assert first.replace(" for PRODUCT by BRAND", "") == sentence


def test_the_overview_loads_no_server() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []


LOADED = """
import contextlib, io, sys
from gateway.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    main(["--help"], standalone_mode=False)
print(*({"uvicorn", "sqlalchemy", "pydantic", "redis", "asyncpg", "httpx"} & set(sys.modules)))
"""


def test_migrate_tells_what_it_did(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    postgres.execute("CREATE DATABASE to_migrate")
    monkeypatch.setenv("DATABASE_URL", postgres.url("to_migrate") + "?channel_binding=require")
    postgres.execute(migrations.upgrade_sql(until="0003"), "to_migrate")
    output = run("migrate")
    assert "Warning: DATABASE_URL: the option channel_binding is left out" in output
    assert f"Brought the database from 0003 to {schema.VERSION}." in output
    assert f"already at {schema.VERSION}" in run("migrate")


@pytest.mark.parametrize("command", [("migrate",), ("serve", "--port", "0")])
def test_a_folder_that_cannot_be_is_a_sentence(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:////dev/null/gateway.sqlite3")
    output = run(*command, expect=1)
    assert "Not a directory" in output or "File exists" in output
    assert "Traceback" not in output


def test_the_demo_tells_that_its_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / ".gateway-demo").write_text("a file")
    output = run("demo", "--port", "0", expect=1)
    assert "which cannot be written (File exists)" in output
    assert "folder of your own" in output


def test_a_token_that_nobody_would_take_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "https://project.supabase.co")
    monkeypatch.setenv("SUPABASE_JWT_SECRET", "")
    assert "only Supabase itself" in run("token", "--user", str(uuid.uuid4()), expect=1)


def test_processes_without_a_temporary_folder_are_told(
    postgres: Postgres, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a read-only file system."""
    monkeypatch.setenv("DATABASE_URL", postgres.url("migrated"))
    monkeypatch.setenv("REDIS_URL", valkey.url)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nowhere"])
    assert "set TMPDIR" in run("serve", "--port", "0", "--workers", "2", expect=1)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_all_addresses_are_those_of_ipv4_too() -> None:
    with bind("::", 0) as listener:
        for address in ("127.0.0.1", "::1"):
            with socket.create_connection((address, listener.getsockname()[1]), timeout=5) as connection:
                assert connection.getpeername()[1] == listener.getsockname()[1]


def test_a_weak_secret_keeps_check_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_URL", "https://gateway.example.com")
    monkeypatch.setenv("AI_CALLBACK_SECRET", "c" * 32)
    monkeypatch.setenv("SUPABASE_JWT_SECRET", "j" * 32)
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    output = run("check", expect=1)
    assert "problem    N8N_WEBHOOK_SECRET: is not set" in output
    assert "problem    REDIS_URL: cannot be reached" in output


def test_a_misspelt_setting_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AI_GENERATON_COST=0.04\n")
    told = ".env sets AI_GENERATON_COST, which is no setting. Was AI_GENERATION_COST meant?"
    assert f"Warning: {told}" in run("migrate")
    assert "warning    settings: .env sets AI_GENERATON_COST" in run("check", expect=1)
