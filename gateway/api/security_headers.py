"""Response headers that keep a browser from doing what our pages never ask for."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class SecurityHeaders:
    """Adds them to every HTTP response.

    Args:
        app: the application inside.
        images: the origin that pictures come from, besides our own.
    """

    def __init__(self, app: ASGIApp, images: str) -> None:
        self._app = app
        self._policy = "; ".join(
            (
                "default-src 'self'",
                # blob: the dashboard's charts, which are fetched with a token.
                f"img-src 'self' data: blob: {images}",
                "connect-src 'self'",
                "object-src 'none'",
                "base-uri 'none'",
                "form-action 'self'",
                "frame-ancestors 'none'",
            )
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
                if headers.get("content-type", "").startswith("text/html"):
                    headers.setdefault("Content-Security-Policy", self._policy)
            await send(message)

        await self._app(scope, receive, send_with_headers)
