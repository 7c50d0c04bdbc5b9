"""`gateway check` against a Supabase project and an n8n that are in order, away, or closed to us."""

from collections.abc import AsyncIterator

import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from gateway.cli.connections import find_problems
from gateway.settings import Settings
from storage import migrations
from tests.gateway.test_executions import KEY, ExecutionsApi, running_api
from tests.scripted_n8n import ScriptedN8n
from tests.servers import free_port
from tests.supabase import SERVICE_KEY, SupabaseProject, supabase_project


@pytest.fixture
async def project() -> AsyncIterator[SupabaseProject]:
    async with supabase_project() as running:
        yield running


@pytest.fixture
async def api() -> AsyncIterator[ExecutionsApi]:
    async with running_api() as running:
        yield running


def settings(project: SupabaseProject, n8n: ScriptedN8n, api: ExecutionsApi, **changes: object) -> Settings:
    migrations.upgrade("sqlite:///gateway.sqlite3")
    return Settings.load(
        {
            "n8n_webhook_url": n8n.url,
            "n8n_api_url": api.url,
            "n8n_api_key": KEY,
            "supabase_url": project.url,
            "supabase_service_role_key": SERVICE_KEY,
            "storage_private_buckets": "private",
            **changes,
        }
    )


async def test_all_in_order(project: SupabaseProject, n8n: ScriptedN8n, api: ExecutionsApi) -> None:
    project.publish("ES256")
    assert await find_problems(settings(project, n8n, api)) == []


async def test_every_problem_at_once(project: SupabaseProject, n8n: ScriptedN8n, api: ExecutionsApi) -> None:
    project.answer = PlainTextResponse("", 500)
    changes = {"n8n_api_key": "wrong", "supabase_service_role_key": "sb_secret_wrong"}
    found = await find_problems(settings(project, n8n, api, **changes))
    assert [problem.partition(":")[0] for problem in found] == [
        "N8N_API_URL",
        "SUPABASE_URL",
        "SUPABASE_SERVICE_ROLE_KEY",
    ]
    assert "401" in found[0]
    assert "wrong" not in " ".join(found)


async def test_nobody_could_sign_in(project: SupabaseProject, n8n: ScriptedN8n, api: ExecutionsApi) -> None:
    (found,) = await find_problems(settings(project, n8n, api, supabase_jwt_secret=""))
    assert "no user's token can be verified" in found


async def test_n8n_is_away(project: SupabaseProject, n8n: ScriptedN8n, api: ExecutionsApi) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    found = await find_problems(settings(project, n8n, api, n8n_webhook_url=away, n8n_api_url=away))
    assert [problem.partition(":")[0] for problem in found] == ["N8N_WEBHOOK_URL", "N8N_API_URL"]
    api.answer = JSONResponse({"message": "forbidden"}, 403)
    (found_403,) = await find_problems(settings(project, n8n, api))
    assert "403" in found_403
