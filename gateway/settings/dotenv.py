"""The ``.env`` file: read in whatever encoding an editor saved it, and looked through for misspelt names."""

import codecs
import difflib
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

FILE = Path(".env")

_ALIKE = 0.88
"""How alike two names must be (0 to 1) for one to be taken for the other misspelt: a letter or two."""


class UnreadableFile(Exception):
    """The file is there, but cannot be read; the text is a sentence."""


def read_dotenv(path: Path = FILE) -> dict[str, str]:
    """What the file says, by name; empty without a file.

    Raises:
        UnreadableFile: it cannot be read, or not as text.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror}.") from None
    try:
        text = content.decode(_encoding_of(content))
    except UnicodeDecodeError:
        raise UnreadableFile(f"{path} is not UTF-8: save it again as UTF-8.") from None
    return {name: value or "" for name, value in dotenv_values(stream=StringIO(text)).items()}


def _encoding_of(content: bytes) -> str:
    """By its byte order mark, which Windows' editors write; without one, UTF-16 shows in its zeros."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if content[1:2] == b"\0":
        return "utf-16-le"
    if content[:1] == b"\0":
        return "utf-16-be"
    return "utf-8-sig"


def misspelt(found: Iterable[str], known: Iterable[str]) -> Mapping[str, str]:
    """The names among `found` that are none of the `known` ones, but nearly; and what was probably meant."""
    names = {name.upper() for name in known}
    close = {
        name: difflib.get_close_matches(name.upper(), names, n=1, cutoff=_ALIKE)
        for name in found
        if name.upper() not in names
    }
    return {name: matches[0] for name, matches in close.items() if matches}
