"""The poster's words: they fit, and there is never a box, whatever was typed."""

import io

import pytest
from PIL import Image

from gateway.demo import lettering
from gateway.demo.lettering import fit, has, legible
from gateway.demo.poster import HEIGHT, WIDTH, draw_poster

TEXTS = (
    "Running Shoes",
    "茶 🥾 東京",
    "مرحبا بالعالم",
    "हिन्दी 👩‍👩‍👧 ภาษาไทย",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "W" * 200,
    "word " * 40,
    "\u200b\ufe0f",
)


@pytest.mark.parametrize("fonts", [(), lettering.SYSTEM_FONTS], ids=["Pillow's font alone", "the system's fonts"])
@pytest.mark.parametrize("text", TEXTS)
def test_it_fits_and_is_legible(text: str, fonts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "SYSTEM_FONTS", fonts)
    legible.cache_clear()
    name, spelled = legible(text)
    assert spelled.strip()
    assert [letter for letter in spelled if not has(name, letter)] == []
    for size, width, height in ((112, 880, 400), (46, 880, 64)):
        fitted = fit(text, size, width, height)
        lines = fitted.text.split("\n")
        assert max(fitted.font.getlength(line) for line in lines) <= width
        line_height = sum(fitted.font.getmetrics())
        assert len(lines) * (line_height + lettering.SPACING) - lettering.SPACING <= height
    legible.cache_clear()


def test_what_no_font_has_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "SYSTEM_FONTS", ())
    legible.cache_clear()
    assert legible("茶 🥾") == (None, "Cha hiking boot")
    legible.cache_clear()


def test_words_stay_whole_while_they_can() -> None:
    assert fit("Waterproof Hiking Boots", 112, 880, 400).text == "Waterproof\nHiking Boots"


def test_a_poster_of_anything() -> None:
    for text in TEXTS:
        with Image.open(io.BytesIO(draw_poster(text, text, "seed"))) as picture:
            assert (picture.format, picture.size) == ("PNG", (WIDTH, HEIGHT))
