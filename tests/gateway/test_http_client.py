"""The gateway as an HTTP client behind a proxy."""

import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from click.testing import CliRunner
from starlette.types import Receive, Scope, Send

from gateway.cli import main
from gateway.http_client import UnusableEnvironment, environment_problems, new_client, tls_context
from gateway.server.listener import bind
from tests.running import serving


class Proxy:
    """A forward proxy that answers everything itself, and remembers for whom."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(dict(scope["headers"])[b"host"].decode())
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def running_proxy() -> AsyncIterator[Proxy]:
    listener = bind("127.0.0.1", 0)
    proxy = Proxy(f"http://127.0.0.1:{listener.getsockname()[1]}")
    config = uvicorn.Config(proxy, lifespan="off", log_config=None)
    async with serving(proxy, config, listener):
        yield proxy


@pytest.fixture(autouse=True)
def _no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def test_other_machines_are_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_proxy() as proxy, running_proxy() as direct:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "direct.invalid")
        async with new_client(timeout=5) as http:
            assert (await http.get("http://n8n.invalid:5678/webhook")).status_code == 200
            assert proxy.asked == ["n8n.invalid:5678"]
            with pytest.raises(httpx.ConnectError):
                await http.get("http://direct.invalid/")
            for host in (direct.url, direct.url.replace("127.0.0.1", "localhost")):
                assert (await http.get(host)).status_code == 200
        assert proxy.asked == ["n8n.invalid:5678"]
        assert len(direct.asked) == 2


UNUSABLE = [
    ("ALL_PROXY", "socks5://hidden:1080", "there is no SOCKS here"),
    ("all_proxy", "socks5h://u:hidden@h", "there is no SOCKS here"),
    ("HTTP_PROXY", "socks4://hidden", "no URL of an HTTP proxy"),
    ("HTTPS_PROXY", "nonsense://hidden", "no URL of an HTTP proxy"),
    ("https_proxy", "http://hidden:port", "no URL of an HTTP proxy"),
    ("HTTP_PROXY", "http://hidden\n", "no URL of an HTTP proxy"),
    ("NO_PROXY", "[::1,hidden", "lists something that is no host"),
    ("NO_PROXY", "localhost,[::1]", "IPv6 without brackets"),
    ("no_proxy", "http://hidden:port", "lists something that is no host"),
    ("SSL_CERT_FILE", "/hidden/ca.pem", "no file with certificates"),
    ("SSL_CERT_FILE", "/dev/null", "no file with certificates"),
]


@pytest.fixture
def fresh_context() -> Iterator[None]:
    """The certificates are read once a process."""
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


@pytest.mark.parametrize(("name", "value", "sentence"), UNUSABLE)
@pytest.mark.usefixtures("fresh_context")
def test_what_no_client_can_be_made_of_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    (problem,) = environment_problems()
    assert problem.startswith(f"{name} ")
    assert sentence in problem
    assert "hidden" not in problem
    with pytest.raises(UnusableEnvironment, match=name):
        new_client(timeout=5)


def test_a_proxy_without_a_host_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client can be made of it, and reaches nobody."""
    monkeypatch.setenv("HTTP_PROXY", "http://")
    (problem,) = environment_problems()
    assert problem.startswith("HTTP_PROXY is no URL of an HTTP proxy")


USABLE = [
    {},
    {"HTTP_PROXY": "proxy:3128"},
    {"HTTPS_PROXY": "http://u:p%40ss@proxy.example:3128/", "NO_PROXY": "10.0.0.0/8, .example.com,*.example.org,::1,"},
    {"ALL_PROXY": "https://proxy.example", "NO_PROXY": "*"},
    {"FTP_PROXY": "nonsense://x"},
]


@pytest.mark.parametrize("environment", USABLE)
async def test_what_a_client_can_be_made_of_is_no_problem(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert environment_problems() == []
    await new_client(timeout=5).aclose()


def test_every_problem_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "nonsense://x")
    monkeypatch.setenv("ALL_PROXY", "socks5://x")
    assert [problem.partition(" ")[0] for problem in environment_problems()] == ["HTTP_PROXY", "ALL_PROXY"]


def test_a_mistake_of_the_caller_is_not_called_one_of_the_environment() -> None:
    with pytest.raises(httpx.InvalidURL):
        new_client(base_url="http://h:port")


@pytest.mark.parametrize("command", ["serve", "worker", "demo", "check", "status", "generate"])
def test_a_command_says_so_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALL_PROXY", "socks5://hidden")
    monkeypatch.setenv("REDIS_URL", "nonsense://x")
    arguments = {"status": [str(uuid.uuid4())], "generate": ["Shoes", "Nike"]}.get(command, [])
    result = CliRunner().invoke(main, [command, *arguments])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), "no traceback"
    assert "SOCKS" in result.output
    assert "hidden" not in result.output
    if command in ("serve", "worker", "check"):
        assert "REDIS_URL" in result.output, "with the settings' own problems"


def test_what_asks_nobody_needs_no_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALL_PROXY", "socks5://x")
    assert CliRunner().invoke(main, ["token", "--user", str(uuid.uuid4())]).exit_code == 0
