"""The tokens that have been verified, and whom they name."""

import hashlib
from collections import OrderedDict
from typing import NamedTuple

import jwt

MAX_REMEMBERED = 50_000
"""Most tokens that are remembered (some 300 bytes each); past it the one used longest ago is verified anew."""


class User(NamedTuple):
    """Someone with a valid token."""

    id: str
    is_admin: bool
    expires_at: float
    """Unix time in seconds at which the token ends."""


class Verified(NamedTuple):
    """A token that was good."""

    user: User
    key: jwt.PyJWK | None
    """The published key that has signed it, which may be revoked; None for the shared secret."""


class VerifiedTokens:
    """A memory of good tokens by their digests: the tokens themselves are not kept."""

    def __init__(self) -> None:
        self._verified: OrderedDict[bytes, Verified] = OrderedDict()

    def get(self, token: str) -> Verified | None:
        """What is remembered of `token`. Its end and its key are for the caller to check."""
        digest = _digest(token)
        found = self._verified.get(digest)
        if found is not None:
            self._verified.move_to_end(digest)
        return found

    def add(self, token: str, user: User, key: jwt.PyJWK | None) -> None:
        """Remember that `token` is good."""
        self._verified[_digest(token)] = Verified(user, key)
        if len(self._verified) > MAX_REMEMBERED:
            self._verified.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.blake2b(token.encode(errors="surrogatepass"), digest_size=20).digest()
