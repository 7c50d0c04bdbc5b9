"""URLs and origins as settings."""

import pytest

from gateway.settings.addresses import http_url, is_local, networks, origin, origin_of, root_url, workflow_url

CALLABLE = (
    "http://n8n:5678/webhook/x",
    "https://n8n.example.com/webhook/x?y=%20",
    "http://my_service.internal./x",
    "http://[::1]:8000/",
    "http://10.0.0.1",
    "https://bücher.example/x",
    "https://user:word@n8n.example.com/webhook",
)


@pytest.mark.parametrize("url", CALLABLE)
def test_what_can_be_called(url: str) -> None:
    assert http_url(url) == url


NOT_CALLABLE = (
    "",
    "n8n.example.com",
    "ftp://n8n.example.com",
    "http://",
    "http:///x",
    "http://n8n example.com",
    "http://n8n.example.com/a b",
    "http://n8n.example.com/\r",
    "http://n8n:abc/x",
    "http://n8n:0/x",
    "http://n8n:70000/x",
    "http://a..b/x",
    "http://-a.example/x",
    "http://256.1.1.1/",
    "http://1.2.3/",
    "https://xn--a/x",
    "http://n8n.example.com;/x",
    "'http://n8n.example.com'",
    "http://[::1",
    "https://n8n.example.com/#x",
)


@pytest.mark.parametrize("url", NOT_CALLABLE)
def test_what_cannot_be_called(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|fragment") as told:
        http_url(url)
    assert url in ("", "http://") or url not in str(told.value)


def test_a_root_loses_its_slash_alone() -> None:
    assert root_url("https://gateway.example.com/") == "https://gateway.example.com"
    with pytest.raises(ValueError, match="path"):
        root_url("https://gateway.example.com/gateway")


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://App.Example.com:443/", "https://app.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("tauri://localhost", "tauri://localhost"),
        ("http://tauri.localhost", "http://tauri.localhost"),
    ],
)
def test_origins_as_browsers_and_native_shells_send_them(written: str, sent: str) -> None:
    assert origin(written) == sent
    assert origin_of(written) == sent


def test_where_this_machine_is_meant() -> None:
    for url in ("http://localhost", "http://app.localhost:3000", "http://127.0.0.2", "http://[::1]:8000"):
        assert is_local(url)
    for url in ("https://gateway.example.com", "http://10.0.0.1", "http://localhost.example.com", "http://[::2]"):
        assert not is_local(url)


def test_networks() -> None:
    assert networks(" 10.0.0.1 , 10.1.2.3/8,fd00::/8") == "10.0.0.1/32,10.0.0.0/8,fd00::/8"
    assert networks("10.0.0.1, *") == "*"
    for wrong in ("x", "10.0.0.0/33", "proxy.example.com"):
        with pytest.raises(ValueError, match="networks"):
            networks(wrong)


@pytest.mark.parametrize(
    ("copied", "kept"),
    [
        ("https://n8n.example.com/workflow/AbC123", "https://n8n.example.com/workflow/AbC123"),
        ("https://n8n.example.com/workflow/AbC123?projectId=x&uiContext=y", "https://n8n.example.com/workflow/AbC123"),
        ("https://n8n.example.com/workflow/AbC123/executions/7", "https://n8n.example.com/workflow/AbC123"),
        ("http://localhost:5678/n8n/workflow/a_b-c/", "http://localhost:5678/n8n/workflow/a_b-c"),
        ("https://n8n.example.com/workflow/newest", "https://n8n.example.com/workflow/newest"),
    ],
)
def test_a_workflow_is_named_by_whatever_the_browser_shows(copied: str, kept: str) -> None:
    assert workflow_url(copied) == kept
