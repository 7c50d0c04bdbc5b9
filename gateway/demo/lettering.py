"""Text that fits and can be read, whatever the script and whatever fonts this machine has.

Pillow brings one font, for Latin letters. For others, common fonts of the system are looked for (Debian's
``fonts-noto-cjk`` has Chinese, Japanese and Korean, ``fonts-noto-core`` nearly everything else). What none of them
has is spelled in Latin letters: a box says nothing.
"""

import contextlib
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache

from anyascii import anyascii
from PIL import ImageFont

SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "NotoEmoji-Regular.ttf",
    "Arial Unicode.ttf",  # macOS
    "Hiragino Sans GB.ttc",
    "AppleSDGothicNeo.ttc",
    "msyh.ttc",  # Windows
    "meiryo.ttc",
    "malgun.ttf",
    "segoeui.ttf",
)
"""Looked for in the system's font folders, in this order."""

SMALLEST = 22
"""The least size, in pixels, at which letters can still be read on a phone."""

WHOLE_WORDS = 46
"""The least size at which words stay whole; below, a long word is broken."""

SPACING = 8
"""Pixels between two lines."""

UNASSIGNED = "\U0010ffff"
"""A character that no font has: what is drawn for it is the font's box."""

Font = ImageFont.FreeTypeFont


@dataclass(frozen=True)
class Lettering:
    """Text broken into lines, and the font in which they fit."""

    text: str
    font: Font


def fit(text: str, size: int, width: int, height: int) -> Lettering:
    """`text` as large as `width` and `height` (pixels) allow, at most `size`; cut with an ellipsis at the smallest."""
    name, text = legible(text)
    while True:
        font = _font(name, size)
        lines = _broken(text, font, width, whole_words=size > WHOLE_WORDS)
        most = max(1, (height + SPACING) // (_line_height(font) + SPACING))
        if len(lines) <= most and all(font.getlength(line) <= width for line in lines):
            return Lettering("\n".join(lines), font)
        if size <= SMALLEST:
            return Lettering("\n".join([*lines[: most - 1], _cut(lines[most - 1], font, width)]), font)
        size = max(SMALLEST, size - 6)


@lru_cache(maxsize=256)
def legible(text: str) -> tuple[str | None, str]:
    """The font (None: Pillow's own) that has most of `text`, and the text with the rest in Latin letters."""
    text = " ".join(unicodedata.normalize("NFC", text).split())
    names = [None, *(name for name in SYSTEM_FONTS if _found(name))]
    best = max(names, key=lambda name: sum(has(name, letter) for letter in text))  # the first of equals
    spelled = "".join(letter if has(best, letter) else _in_latin(letter) for letter in text)
    return best, " ".join(spelled.split()) or "·"


@lru_cache(maxsize=4096)
def has(name: str | None, letter: str) -> bool:
    """Whether the font draws `letter`, and not a box."""
    if letter == " ":
        return True
    font = _font(name, SMALLEST).font_variant(layout_engine=ImageFont.Layout.BASIC)  # a mark alone, without a circle
    drawn, box = font.getmask(letter), font.getmask(UNASSIGNED)
    return (drawn.size, bytes(drawn)) != (box.size, bytes(box))


def _in_latin(letter: str) -> str:
    """A letter's sound, or an emoji's name."""
    spelled = anyascii(letter)
    return f" {spelled.strip(':').replace('_', ' ')} " if spelled.startswith(":") and len(spelled) > 1 else spelled


@cache
def _found(name: str) -> bool:
    with contextlib.suppress(OSError):
        return bool(ImageFont.truetype(name, SMALLEST))
    return False


@lru_cache(maxsize=64)
def _font(name: str | None, size: int) -> Font:
    if name is not None:
        return ImageFont.truetype(name, size)
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # noqa: S101 - with a size it is
    return font


def _line_height(font: Font) -> int:
    return sum(font.getmetrics())


def _broken(text: str, font: Font, width: int, *, whole_words: bool) -> list[str]:
    """Lines no longer than `width`; only a word that is longer by itself may stick out, and only if it stays whole."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        if whole_words:
            lines[-1] = word
            continue
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def _cut(line: str, font: Font, width: int) -> str:
    """`line` with an ellipsis, short enough for `width`."""
    while line and font.getlength(f"{line}...") > width:
        line = line[:-1]
    return f"{line.rstrip()}..."
