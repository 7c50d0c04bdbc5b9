"""Where the gateway sends its clients: nowhere that they have named themselves."""

import pytest

from tests.conftest import parsing_only
from tests.running import RunningGateway


@parsing_only
@pytest.mark.parametrize("path", ["/api/ai-callback/", "/admin/", "/healthz/", "//evil.example.com/"])
async def test_a_slash_too_many_is_no_redirect(gateway: RunningGateway, path: str) -> None:
    for host in ("evil.example.com", "gateway.example.com:1234"):
        answer = await gateway.http.get(path, headers={"Host": host, "X-Forwarded-Host": host})
        assert not answer.is_redirect
        assert host not in answer.text
        assert not [name for name, value in answer.headers.items() if host in value]
