"""The message that every peer carries: a request's Body of 400 bytes, with places for what differs each time.

The load client replaces the tokens by digits of the same width, so that a message is made by copying bytes.
"""

import json
from typing import Any

CHANNEL = "CCCCCCCCCCCC"
"""Twelve digits: which user, which request, which connection."""

VERSION = "VVVVVVVVVV"
"""Ten digits: 10^9 and the number of the message, so the first one is no zero."""

PROGRESS = "PPPPPPPP"
"""A number and spaces."""

VERSION_NUMBER = 1777777777
"""Stands for `VERSION` where an encoder wants a number."""

USER = f"00000000-0000-4000-8000-{CHANNEL}"
REQUEST = f"00000000-0000-4000-9000-{CHANNEL}"
MARKER = f"bench:{CHANNEL}:{VERSION}:"
"""How the load client finds the channel and the version in whatever a peer wraps around the message. It lies in a field
that nothing tells twice."""

SIZE = 400


def body() -> dict[str, Any]:
    """The Body as an object, `SIZE` bytes long as JSON."""
    fields: dict[str, Any] = {
        "requestId": REQUEST,
        "status": "processing",
        "product": MARKER,
        "brand": "Nike",
        "storageKey": None,
        "storageId": None,
        "publicUrl": None,
        "errorMessage": None,
        "createdAt": "2026-11-25T22:00:00.000Z",
        "completedAt": None,
        "version": VERSION_NUMBER,
        "progress": 42,
        "errorCode": None,
        "updatedAt": "2026-11-25T22:00:01.000Z",
        "cost": None,
    }
    fields["product"] += "x" * (SIZE - len(_encode(fields)))
    return fields


def payload() -> bytes:
    """The Body as JSON with its tokens."""
    return with_tokens(_encode(body()))


def with_tokens(encoded: bytes) -> bytes:
    """`encoded` with the token in place of `VERSION_NUMBER`."""
    return encoded.replace(str(VERSION_NUMBER).encode(), VERSION.encode())


def _encode(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def redis_publish(channel: str, message: bytes) -> bytes:
    """The PUBLISH command in Redis's protocol (RESP)."""
    words = [b"PUBLISH", channel.encode(), message]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def http_post(path: str, content: bytes, *headers: str) -> bytes:
    """An HTTP/1.1 request with a JSON body."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        *headers,
        f"Content-Length: {len(content)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content
