"""URLs, origins and networks as settings: each checked as what it is used for.

The sentences of the errors never quote a value: it may hold a password.
"""

import ipaddress
import re
from urllib.parse import urlsplit

import httpx

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*\.?")

NATIVE_SCHEMES = ("capacitor", "ionic", "tauri", "app", "chrome-extension", "moz-extension")
"""Schemes of the origins that native shells and extensions send."""


def http_url(text: str) -> str:
    """`text`, if an HTTP client can call it.

    Raises:
        ValueError: it cannot; the text says why.
    """
    if not text.isprintable() or re.search(r"[\s\"'<>\\`{}|^]", text):
        raise ValueError("is no URL: it holds a space, a quotation mark or another stray character")
    try:
        parts, url = urlsplit(text), httpx.URL(text)
        port, host = parts.port, url.raw_host.decode()
        _ = url.host  # a label that only looks like punycode is found out here
    except (ValueError, httpx.InvalidURL):
        raise ValueError("is no URL: its host or its port cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL that starts with http:// or https://")
    if port == 0 or not _is_host(host):
        raise ValueError("is no URL: its host or its port cannot be read")
    if parts.fragment:
        raise ValueError("must not have a fragment (#…)")
    return text


def base_url(text: str) -> str:
    """`text` without the slash at its end, if paths can be appended to it.

    Raises:
        ValueError: it is no URL, or not the beginning of one.
    """
    parts = urlsplit(http_url(text))
    if parts.query or "@" in parts.netloc:
        raise ValueError("must be the beginning of a URL, without ? and @")
    return text.rstrip("/")


def root_url(text: str) -> str:
    """`text` without the slash at its end, if it names a host and nothing on it.

    Raises:
        ValueError: it is no URL, or has a path.
    """
    url = base_url(text)
    if urlsplit(url).path:
        raise ValueError(
            "must not have a path: pages, files, documents and callbacks are at the root of a host. Give the gateway a "
            "host of its own, such as https://gateway.example.com"
        )
    return url


def workflow_url(text: str) -> str:
    """The address of a workflow in n8n's editor, of `text` that begins with it: as copied from a browser, it has more.

    Raises:
        ValueError: it names no workflow.
    """
    parts = urlsplit(http_url(text))
    named = re.fullmatch(r"(.*/workflow/(?!new(?:/|$))[A-Za-z0-9_-]{1,64})(/.*)?", parts.path)
    if named is None or "@" in parts.netloc:
        raise ValueError(
            "must be the address that a browser shows when the workflow is open in n8n's editor, such as "
            "https://n8n.example.com/workflow/AbC123"
        )
    return f"{parts.scheme}://{parts.netloc}{named[1]}"


def origin(text: str) -> str:
    """`text` as browsers write an origin.

    Raises:
        ValueError: no browser sends such an origin.
    """
    if "*" in text:
        raise ValueError(
            "must list whole origins such as https://app.example.com: a * matches nothing. Where previews have names "
            "of their own, send a bearer token instead of the cookie, from a server of yours"
        )
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https", *NATIVE_SCHEMES) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must list origins such as https://app.example.com, separated by commas")
    written = origin_of(text)
    if not _is_host(_host_of(written)):
        raise ValueError("must list origins such as https://app.example.com, separated by commas")
    return written


def origin_of(url: str) -> str:
    """The origin of `url` as a browser writes it (RFC 6454): scheme, host, and the port unless it is the default."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if not host.isascii():
        host = httpx.URL(f"{parts.scheme}://{host}").raw_host.decode()
    if ":" in host:
        host = f"[{host}]"
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, default) else "")


def is_local(url: str) -> bool:
    """Whether `url` leads to this machine, whoever follows it."""
    host = urlsplit(url).hostname or ""
    if host in ("localhost", "host.docker.internal") or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def networks(text: str) -> str:
    """Addresses and networks, separated by commas, or ``*`` for all.

    Raises:
        ValueError: something else is among them.
    """
    listed = [part.strip() for part in text.split(",") if part.strip()]
    if "*" in listed:
        return "*"
    try:
        return ",".join(str(ipaddress.ip_network(part, strict=False)) for part in listed)
    except ValueError:
        raise ValueError("must list addresses or networks such as 10.0.0.0/8, separated by commas") from None


def _host_of(origin: str) -> str:
    return urlsplit(origin).hostname or ""


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return _HOST.fullmatch(host.lower()) is not None and re.fullmatch(r"[0-9.]+", host) is None
    return True
