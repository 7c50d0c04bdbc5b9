"""The entrance of `/realtime/v1/websocket`."""

from http import HTTPStatus
from urllib.parse import parse_qs

from gateway.auth.tokens import ForeignOrigin, InvalidToken
from gateway.realtime.connection import Carrier, SessionParts, Upgrade, UpgradeRefusal
from gateway.realtime.connection_limits import TooManyConnections
from gateway.realtime.supabase.serializers import DEFAULT_VSN, SERIALIZERS
from gateway.realtime.supabase.session import BURST, SupabaseSession

PATH = "/realtime/v1/websocket"

MAX_QUERY, MAX_PARAMETERS = 4096, 32
"""How much of a query is looked at, in bytes and parameters: nobody has said yet who is asking."""


class SupabaseEndpoint:
    """Begins a session for each upgrade.

    Refusals come before the upgrade is answered. An opened connection makes these clients forget how often they have
    tried: closed at once, they would come back every second, but after a refusal they wait longer each time.
    """

    burst = BURST

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts

    def refusal(self, upgrade: Upgrade) -> UpgradeRefusal | None:
        """Why the upgrade is not answered; None to begin a session."""
        vsn = _parameters(upgrade.query).get("vsn", DEFAULT_VSN)
        if vsn not in SERIALIZERS:
            known = " and ".join(SERIALIZERS)
            return UpgradeRefusal(HTTPStatus.BAD_REQUEST, "unsupported_vsn", f"The vsn must be one of {known}.")
        try:
            self._parts.authenticator.credential_of_upgrade(upgrade.headers)
            self._parts.limits.acquire_address(upgrade.host)
            self._parts.limits.release_address(upgrade.host)
        except ForeignOrigin:
            return UpgradeRefusal(HTTPStatus.FORBIDDEN, "foreign_origin", "This origin is not allowed.")
        except InvalidToken:
            return UpgradeRefusal(HTTPStatus.UNAUTHORIZED, "unauthorized", "The Authorization must be a bearer token.")
        except TooManyConnections as error:
            if error.kind == "process":
                return UpgradeRefusal(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", "The service is overloaded.")
            return UpgradeRefusal(HTTPStatus.TOO_MANY_REQUESTS, "too_many_connections", "Too many connections.")
        return None

    def open(self, upgrade: Upgrade, carrier: Carrier) -> SupabaseSession:
        """Begin a session."""
        credential = self._parts.authenticator.credential_of_upgrade(upgrade.headers)
        parameters = _parameters(upgrade.query)
        api_key = parameters.get("apikey")
        return SupabaseSession(
            self._parts,
            carrier,
            SERIALIZERS[parameters.get("vsn", DEFAULT_VSN)],
            upgrade.host,
            credential=None if credential is None else credential.without(api_key),
            api_key=api_key,
        )


def _parameters(query: bytes) -> dict[str, str]:
    """The first value of each parameter that has one, as far as a client may need."""
    few = "&".join(query[:MAX_QUERY].decode("latin-1").split("&")[:MAX_PARAMETERS])
    return {name: values[0] for name, values in parse_qs(few).items()}
