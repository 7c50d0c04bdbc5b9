"""Whose certificates are believed, read once a process: the roots take 40 ms of a processor."""

import ssl
from functools import cache

import httpx


@cache
def tls_context() -> ssl.SSLContext:
    """The roots that httpx brings, or those in `SSL_CERT_FILE` or `SSL_CERT_DIR`; shared by every client."""
    return httpx.create_ssl_context()
