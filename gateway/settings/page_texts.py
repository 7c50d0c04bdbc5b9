"""Texts of the pages: the English ones are ``static/page-texts.json``, and a file of the operator's replaces them."""

import difflib
import json
import re
from collections.abc import Collection
from functools import cache
from pathlib import Path

from gateway.static_folder import FOLDER

MOST_BYTES = 64 * 1024
"""Largest file of texts."""

FORM = "form"
"""Below this name are texts of the form, under the names that its `texts` property has."""


@cache
def default_texts() -> dict[str, str]:
    """The English texts of the pages, by name."""
    texts: dict[str, str] = json.loads((FOLDER / "page-texts.json").read_text(encoding="utf-8"))
    return texts


@cache
def _form_names() -> frozenset[str]:
    defaults = (FOLDER / "ai-image-form" / "texts.js").read_text(encoding="utf-8").partition("\n};")[0]
    return frozenset(re.findall(r"^  (\w+):", defaults, re.MULTILINE))


def read_page_texts(path: str) -> str:
    """The texts in the file at `path`, as JSON.

    Raises:
        ValueError: it cannot be read, or holds something else.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ValueError(f"names a file that cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MOST_BYTES:
        raise ValueError(f"names a file of more than {MOST_BYTES // 1024} KiB")
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise ValueError("names a file that is no JSON in UTF-8") from None
    if not isinstance(found, dict) or not isinstance(form := found.get(FORM, {}), dict):
        raise ValueError(f"names a file that is no object of texts, with those of the form in “{FORM}”")
    texts = {name: text for name, text in found.items() if name != FORM}
    _check(texts, default_texts().keys())
    _check(form, _form_names())
    return json.dumps(found)


def _check(texts: dict[str, object], known: Collection[str]) -> None:
    for name, text in texts.items():
        if name not in known:
            meant = difflib.get_close_matches(name, known, n=1)
            question = f": was “{meant[0]}” meant?" if meant else ""
            raise ValueError(f"names a file with “{name[:100]}”, which is no text of the pages{question}")
        if not isinstance(text, str) or any("\ud800" <= letter <= "\udfff" for letter in text):  # halves of letters
            raise ValueError(f"names a file in which “{name}” is no text")
