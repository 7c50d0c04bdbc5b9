"""From an object's storage key to the URL that shows it."""

from collections.abc import Set
from urllib.parse import quote

# What JavaScript's encodeURI leaves alone (ECMA-262, section 19.2.6.4): supabase-js builds its URLs with it,
# and a URL that differs from the client's would miss caches and break comparisons.
_UNESCAPED = ";,/?:@&=+$-_.!~*'()#"

PICTURES = "/api/ai-images"
"""Where the gateway shows pictures of private buckets: ``/api/ai-images/<request id>/<picture token>``."""


def encode_key(storage_key: str) -> str:
    """``bucket/path`` as supabase-js writes it into a URL."""
    return quote(storage_key, safe=_UNESCAPED)


class PublicUrls:
    """Builds the URL under which a picture is shown.

    For a public bucket it is the object store's, as supabase-js `getPublicUrl` builds it. For a private one it is the
    gateway's own: it never changes, cannot be guessed, and leads to a fresh signed URL.

    Args:
        base_url: where the object store is, without a trailing slash (``https://project.supabase.co``).
        gateway_url: where the gateway is.
        private_buckets: the buckets whose objects have no public URL.
    """

    def __init__(self, base_url: str, gateway_url: str, private_buckets: Set[str] = frozenset()) -> None:
        self._public = base_url.rstrip("/") + "/storage/v1/object/public/"
        self._pictures = gateway_url.rstrip("/") + PICTURES
        self._private_buckets = private_buckets

    def is_private(self, storage_key: str) -> bool:
        """Whether ``bucket/path`` lies in a private bucket."""
        return storage_key.partition("/")[0] in self._private_buckets

    def of(self, storage_key: str, request_id: str, picture_token: str) -> str:
        """The URL of ``bucket/path``, the picture of the request with that token."""
        if self.is_private(storage_key):
            return f"{self._pictures}/{request_id}/{picture_token}"
        return self._public + encode_key(storage_key)
