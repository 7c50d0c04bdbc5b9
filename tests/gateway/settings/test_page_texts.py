"""A file of texts for the pages: read at the start, and told what is wrong with it."""

import json
from pathlib import Path

import pytest

from gateway.settings import Settings, SettingsError
from gateway.settings.page_texts import MOST_BYTES


def loaded(monkeypatch: pytest.MonkeyPatch, path: Path | str) -> str:
    monkeypatch.setenv("PAGE_TEXTS", str(path))
    return Settings.load().page_texts


def test_texts_are_read_with_those_of_the_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"language": "de", "library": "Ihre Bilder", "form": {"generate": "Bild erzeugen"}}
    path = tmp_path / "texts.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(texts).encode())  # as Windows' editors begin a file
    assert json.loads(loaded(monkeypatch, path)) == texts
    assert loaded(monkeypatch, "") == ""


WRONG = [
    (b"{", "is no JSON in UTF-8"),
    (b"\xff", "is no JSON in UTF-8"),
    (b"[" * 30_000, "is no JSON in UTF-8"),
    (b"[]", "is no object of texts"),
    (b'{"form": "x"}', "is no object of texts"),
    (b'{"libary": "x"}', "“libary”, which is no text of the pages: was “library” meant?"),
    (b'{"form": {"genrate": "x"}}', "“genrate”, which is no text of the pages: was “generate” meant?"),
    (b'{"__proto__": "x"}', "“__proto__”, which is no text of the pages"),
    (b'{"library": 1}', "“library” is no text"),
    (b'{"library": "\\ud800"}', "“library” is no text"),
    (b'{"form": {"generate": null}}', "“generate” is no text"),
    (b" " * (MOST_BYTES + 1), "of more than 64 KiB"),
]


@pytest.mark.parametrize(("content", "why"), WRONG)
def test_what_is_wrong_with_a_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, why: str
) -> None:
    path = tmp_path / "texts.json"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        loaded(monkeypatch, path)
    (problem,) = raised.value.problems
    assert problem.startswith("PAGE_TEXTS names a file")
    assert why in problem


def test_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(SettingsError, match="PAGE_TEXTS names a file that cannot be read"):
            loaded(monkeypatch, path)
    path = tmp_path / "full.json"
    path.write_bytes(b"{}" + b" " * (MOST_BYTES - 2))
    assert loaded(monkeypatch, path) == "{}"
