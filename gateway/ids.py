"""Request ids as clients write them."""

import re

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


def parse_id(text: str) -> str | None:
    """The id in its one form, hyphenated lower case (RFC 9562, section 4); None if `text` is no UUID."""
    text = text.lower()
    return text if _UUID.match(text) else None
