"""JSON responses."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

_encoder = msgspec.json.Encoder()


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` as JSON; bytes are taken to be JSON already (a Body is encoded once and never again)."""
    body = content if isinstance(content, bytes) else _encoder.encode(content)
    # The original design's clients and n8n read it as application/json without a charset (RFC 8259 has none).
    response = Response(body, status, headers=headers, media_type="application/json")
    response.headers.setdefault("Cache-Control", "no-store")
    return response
