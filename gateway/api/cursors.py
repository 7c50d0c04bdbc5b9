"""The time in a list's cursor, as text."""

from datetime import UTC, datetime

_AS_WRITTEN = "="


def text_of(place: datetime | str) -> str:
    """A time, or what the database has instead of one, as `place_in` reads it."""
    return f"{_AS_WRITTEN}{place}" if isinstance(place, str) else place.astimezone(UTC).isoformat()


def place_in(text: str) -> datetime | str:
    """What `text_of` was given.

    Raises:
        ValueError: the text is of something else.
        OverflowError: likewise.
    """
    if text.startswith(_AS_WRITTEN):
        return text.removeprefix(_AS_WRITTEN)
    return datetime.fromisoformat(text).astimezone(UTC)
