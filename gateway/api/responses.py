"""JSON responses."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

_encoder = msgspec.json.Encoder()

# The original design's clients and n8n read it as application/json without a charset (RFC 8259 has none).
_CONTENT_TYPE = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")


class JsonResponse(Response):
    """A response whose headers are bytes already."""

    def __init__(self, body: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.body = body
        self.status_code = status
        self.raw_headers = headers
        self.background = None


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` as JSON; bytes are taken to be JSON already (a Body is encoded once and never again).

    It is not to be stored unless `headers` say so.
    """
    body = content if isinstance(content, bytes) else _encoder.encode(content)
    raw = [(b"content-length", b"%d" % len(body)), _CONTENT_TYPE]
    storable = False
    for name, value in (headers or {}).items():
        lowered = name.lower().encode("latin-1")
        storable = storable or lowered == b"cache-control"
        raw.append((lowered, value.encode("latin-1")))
    if not storable:
        raw.append(_NO_STORE)
    return JsonResponse(body, status, raw)
