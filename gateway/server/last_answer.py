"""The answer before a connection is closed: an error in the API's form, written without the application."""

import msgspec


def last_answer(status: bytes, code: str, error: str, *headers: bytes) -> bytes:
    """The whole HTTP/1.1 response.

    Args:
        status: its number and reason, such as `404 Not Found`.
        code: for programs.
        error: a sentence for people.
        headers: more header lines, without their line ends.
    """
    body = msgspec.json.encode({"error": error, "code": code})
    lines = [
        b"HTTP/1.1 %b" % status,
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"cache-control: no-store",
        b"connection: close",
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
