"""The OpenAPI document against the running gateway: Schemathesis sends what it allows, what it forbids, and worse."""

import asyncio
import sys
from pathlib import Path

import pytest
from starlette.responses import JSONResponse

from gateway.settings import Settings
from tests.people import People
from tests.running import running_gateway
from tests.scripted_n8n import ScriptedN8n

pytestmark = pytest.mark.slow

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")

CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "allow_header_conformance"),
    *("response_schema_conformance", "response_headers_conformance", "unsupported_method"),
    *("negative_data_rejection", "missing_required_header", "ignored_auth"),
)


@pytest.mark.timeout(900)
async def test_the_document_is_true(settings: Settings, n8n: ScriptedN8n, users_table: str, tmp_path: Path) -> None:
    n8n.answers(JSONResponse({"Key": "b/a.png", "Id": "1"}))  # at once, so no stream stays open
    settings = settings.model_copy(
        update={"ai_generation_rate_limit_per_hour": 1_000_000, "ai_sync_timeout_seconds": 0.2}
    )
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        process = await asyncio.create_subprocess_exec(
            *(SCHEMATHESIS, "run", f"{gateway.url}/api/openapi.json"),
            *("--header", f"Authorization: Bearer {gateway.token(ada.id, admin=True)}"),
            *("--header", f"X-Callback-Secret: {settings.ai_callback_secret.get_secret_value()}"),
            *("--checks", ",".join(CHECKS)),
            *("--continue-on-failure", "--seed", "1", "--max-examples", "50", "--request-timeout", "10", "--no-color"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        told, _ = await process.communicate()
        assert process.returncode == 0, told.decode()
