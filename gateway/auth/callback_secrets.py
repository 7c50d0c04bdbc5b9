"""What opens the callback: one secret for everything, and one for each request."""

import hashlib
import hmac
from collections.abc import Iterable

from jwt.utils import base64url_encode

from gateway.settings import Settings


class CallbackSecrets:
    """n8n's secrets: the global one, and one for each request that opens this request only.

    While a secret is being changed, the previous one is good too.
    """

    def __init__(self, settings: Settings) -> None:
        previous = settings.ai_callback_secret_previous
        self._secrets = [settings.ai_callback_secret.get_secret_value()]
        if previous is not None:
            self._secrets.append(previous.get_secret_value())

    def token_for(self, request_id: str) -> str:
        """The request's own secret: unpadded base64url(HMAC-SHA256(secret, lower-case id))."""
        return _request_token(self._secrets[0], request_id)

    def is_global(self, provided: str) -> bool:
        """Whether `provided` opens every request."""
        return _matches_any(provided, self._secrets)

    def that_open(self, request_id: str) -> list[str]:
        """All that open this request."""
        return [*self._secrets, *(_request_token(secret, request_id) for secret in self._secrets)]

    def opens(self, provided: str, request_id: str) -> bool:
        """Whether `provided` opens this request."""
        return _matches_any(provided, self.that_open(request_id))


def _request_token(secret: str, request_id: str) -> str:
    digest = hmac.digest(secret.encode(), request_id.lower().encode(), hashlib.sha256)
    return base64url_encode(digest).decode()


def _matches_any(provided: str, secrets: Iterable[str]) -> bool:
    # Every comparison is made, so that the time says nothing about which one matched.
    given = provided.encode(errors="surrogateescape")
    matches = [hmac.compare_digest(given, secret.encode()) for secret in secrets]
    return any(matches)
