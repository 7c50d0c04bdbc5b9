"""From an object's storage key to the URL that shows it."""

from urllib.parse import quote

# What JavaScript's encodeURI leaves alone (ECMA-262, section 19.2.6.4): supabase-js builds its URLs with it,
# and a URL that differs from the client's would miss caches and break comparisons.
_UNESCAPED = ";,/?:@&=+$-_.!~*'()#"


class PublicUrls:
    """Builds the public URL of an object, as supabase-js `getPublicUrl` does.

    Args:
        base_url: where the object store is, without a trailing slash (``https://project.supabase.co``).
    """

    def __init__(self, base_url: str) -> None:
        self._prefix = base_url.rstrip("/") + "/storage/v1/object/public/"

    def of(self, storage_key: str) -> str:
        """The URL of ``bucket/path``."""
        return self._prefix + quote(storage_key, safe=_UNESCAPED)
