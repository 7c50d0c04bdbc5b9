"""Response headers that keep a browser from doing what our pages never ask for."""

from starlette.types import Message

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
)


class SecurityHeaders:
    """Adds them to an HTTP answer.

    Args:
        own: our own origin, as browsers know it.
        images: the origin that pictures come from, besides our own.
    """

    def __init__(self, own: str, images: str) -> None:
        scheme, _, host = own.partition("://")
        # For Safari below 15.4, 'self' does not include a WebSocket to ourselves.
        sockets = f"wss://{host}" if scheme == "https" else f"ws://{host} wss://{host}"
        policy = (
            "default-src 'self'",
            f"img-src 'self' data: {images}",
            f"connect-src 'self' {sockets}",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
        self._of_a_page = (*_ALWAYS, (b"content-security-policy", "; ".join(policy).encode()))

    def add(self, start: Message) -> None:
        """Add them to the message that starts an answer (``http.response.start``)."""
        headers = start["headers"]
        html = any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers)
        start["headers"] = [*headers, *(self._of_a_page if html else _ALWAYS)]
