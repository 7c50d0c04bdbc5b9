"""Answers 429 and 503 that prove that the POST was turned away before n8n started anything.

Both are what proxies say of their own limits, but also of a connection that broke after the POST was handed on, and
what a workflow hands on of its provider's. So only whole answers count that are known to be made before a connection to
n8n exists; all others prove nothing. A proxy whose two answers read alike (Heroku, Cloud Run, Azure, Akamai) has none.
"""

import re


def _haproxy(title: str, sentence: str) -> str:
    return rf"<html><body><h1>{title}</h1>\s*{sentence}\.\s*</body></html>"


def _nginx(title: str, line: str) -> str:
    head = rf"<html>\s*<head><title>{title}</title></head>\s*<body[^<>]*>\s*<center><h1>{title}</h1></center>\s*"
    return rf"{head}{line}</body>\s*</html>(?:\s*<!-- a padding [^<>]*-->)*"


_NGINX = r"<hr><center>(?:nginx|openresty)[^<>]*</center>\s*"
_NOT_CONNECTED = "(?:(?:local |remote )?connection failure|connection timeout|overflow)"

_PAGES: dict[int, tuple[str, ...]] = {
    429: (
        _haproxy("429 Too Many Requests", "You have sent too many requests in a given amount of time"),
        _nginx("429 Too Many Requests", _NGINX),
        "local_rate_limited",  # Envoy
        "error code: 1015",  # Cloudflare, in text, and as a page
        r"<!doctype html>.*<title>\s*Access denied \| [^<>]* used Cloudflare to restrict access\s*</title>.*",
    ),
    503: (
        # No server that it holds for healthy, or none that it could connect to.
        _haproxy("503 Service Unavailable", "No server is available to handle this request"),
        # Its limits, or no endpoint in Kubernetes: what breaks later is nginx's 502 or 504. Without nginx's line it is
        # Amazon's load balancer, which has no target.
        _nginx("503 Service Temporarily Unavailable", f"(?:{_NGINX})?"),
        # Envoy. After its own second attempt ("retried and the latest reset reason") the first may have got through.
        "no healthy upstream",
        rf"upstream connect error or disconnect/reset before headers\. reset reason: {_NOT_CONNECTED}(?:, .*)?",
        "no available server",  # Traefik
    ),
}
_KNOWN = {
    status: tuple(re.compile(page, re.IGNORECASE | re.DOTALL) for page in pages) for status, pages in _PAGES.items()
}

_OF_KONG = {429: "API rate limit exceeded", 503: "failure to get a peer from the ring-balancer"}

N8N_WITHOUT_DATABASE = {"code": 503, "message": "Database is not ready!"}
"""The one such answer that n8n itself gives, instead of looking at what was asked."""


def turned_away(status: int, text: str, content: object) -> bool:
    """Whether the answer proves that n8n started nothing.

    Args:
        status: 429 or 503.
        text: its beginning.
        content: the same as JSON, if it is.
    """
    if isinstance(content, dict):
        if status == 503 and all(content.get(name) == value for name, value in N8N_WITHOUT_DATABASE.items()):
            return True
        if content.get("cloudflare_error") is True:
            return content.get("error_code") == 1015
        return content.keys() <= {"message", "request_id"} and content.get("message") == _OF_KONG[status]
    text = text.strip("\ufeff \t\r\n")
    return any(page.fullmatch(text) for page in _KNOWN[status])
