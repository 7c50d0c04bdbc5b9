"""Why a WebSocket is closed: one table for the server, the documents and the clients."""

from enum import IntEnum


class CloseCode(IntEnum):
    """The codes (RFC 6455, section 7.4: 4000–4999 are an application's own)."""

    BAD_FRAME = 4400
    UNAUTHORIZED = 4401
    FOREIGN_ORIGIN = 4403
    AUTH_TIMEOUT = 4408
    TOO_MANY = 4429
    TOO_BIG = 1009
    RESTART = 1012
    OVERLOADED = 1013

    @property
    def reason(self) -> str:
        """The sentence sent along (at most 123 bytes)."""
        return _REASONS[self]

    @property
    def reconnect(self) -> bool:
        """Whether a client should connect again by itself, after a pause that grows (with a fresh token after 4401)."""
        return self not in (CloseCode.BAD_FRAME, CloseCode.FOREIGN_ORIGIN, CloseCode.TOO_BIG)


_REASONS = {
    CloseCode.BAD_FRAME: "Frames must be JSON text objects with a type",
    CloseCode.UNAUTHORIZED: "The token is missing, not valid or has expired: connect again with a fresh one",
    CloseCode.FOREIGN_ORIGIN: "This origin is not allowed",
    CloseCode.AUTH_TIMEOUT: "No auth frame came in time",
    CloseCode.TOO_MANY: "Too many connections, subscriptions or frames",
    CloseCode.TOO_BIG: "The frame is too big",
    CloseCode.RESTART: "The service restarts: connect again",
    CloseCode.OVERLOADED: "The service is overloaded: connect again later",
}
