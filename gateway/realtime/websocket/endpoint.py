"""The entrance of `/ws`."""

from gateway.realtime.connection import Carrier, SessionParts, Upgrade, UpgradeRefusal
from gateway.realtime.websocket.session import WebSocketSession

PATH = "/ws"


class WebSocketEndpoint:
    """Begins a session for each upgrade."""

    burst = 0

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts

    def refusal(self, upgrade: Upgrade) -> UpgradeRefusal | None:
        """Never: browsers tell a page the code of a close, and nothing of an error of HTTP."""
        return None

    def open(self, upgrade: Upgrade, carrier: Carrier) -> WebSocketSession:
        """Begin a session."""
        session = WebSocketSession(self._parts, carrier, upgrade.host)
        try:
            session.begin(upgrade.headers)
        except BaseException:
            session.on_closed()  # nobody else knows of it
            raise
        return session
