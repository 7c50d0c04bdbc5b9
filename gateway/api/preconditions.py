"""Conditional requests (RFC 9110, section 13)."""


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether If-None-Match names `etag`, by weak comparison (section 13.1.2)."""
    if if_none_match is None:
        return False
    named = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return named == ["*"] or etag in named
