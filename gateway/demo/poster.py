"""A poster for a product and a brand, drawn by geometry and chance: different for each, and plainly not AI."""

import colorsys
import hashlib
import io
import math
import random

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from gateway.demo.lettering import SPACING, fit

WIDTH, HEIGHT = 1024, 1280
_MARGIN = 72
_NOTE = "DRAWN BY THE DEMO'S STAND-IN · NO AI MODEL WAS USED"

_WHITE = (255, 255, 255)

Color = tuple[int, int, int]


def draw_poster(product: str, brand: str, seed: str) -> bytes:
    """The poster as PNG bytes. The brand chooses the colours; the product and `seed` choose the shapes."""
    hue = int.from_bytes(hashlib.sha256(brand.lower().encode()).digest()[:4]) / 2**32
    chance = random.Random(f"{product.lower()}|{brand.lower()}|{seed}")  # noqa: S311 - art, not a secret
    picture = _backdrop(hue)
    picture = _shapes(picture, hue, chance)
    picture = _shade(picture)
    _lettering(picture, product, brand, hue)
    output = io.BytesIO()
    picture.save(output, "PNG", compress_level=4)
    return output.getvalue()


def _color(hue: float, saturation: float, lightness: float) -> Color:
    red, green, blue = colorsys.hls_to_rgb(hue % 1, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def _backdrop(hue: float) -> Image.Image:
    """A diagonal gradient from night to dusk."""
    top, bottom = _color(hue, 0.55, 0.16), _color(hue + 0.09, 0.65, 0.42)
    mask = Image.linear_gradient("L").rotate(18, expand=True, resample=Image.Resampling.BICUBIC)
    side = mask.width
    mask = mask.crop((side // 4, side // 4, side - side // 4, side - side // 4)).resize((WIDTH, HEIGHT))
    return Image.composite(Image.new("RGB", (WIDTH, HEIGHT), bottom), Image.new("RGB", (WIDTH, HEIGHT), top), mask)


def _shapes(picture: Image.Image, hue: float, chance: random.Random) -> Image.Image:
    """A glowing sun with rings round it, and one of three families of forms across it."""
    centre = (WIDTH * chance.uniform(0.35, 0.65), HEIGHT * chance.uniform(0.30, 0.42))
    radius = chance.uniform(190, 260)
    light = _color(hue + 0.45, 0.9, 0.68)
    glow = Image.new("RGBA", picture.size, (*light, 0))
    ImageDraw.Draw(glow).ellipse(_box(centre, radius * 1.5), fill=(*light, 120))
    picture = Image.alpha_composite(picture.convert("RGBA"), glow.filter(ImageFilter.GaussianBlur(90)))
    layer = Image.new("RGBA", picture.size)
    draw = ImageDraw.Draw(layer)
    draw.ellipse(_box(centre, radius), fill=(*light, 255))
    for ring in range(1, chance.randint(4, 7)):
        draw.ellipse(_box(centre, radius + ring * 46), outline=(255, 255, 255, 110 - ring * 14), width=3)
    chance.choice((_waves, _petals, _shards))(draw, centre, radius, hue, chance)
    return Image.alpha_composite(picture, layer.resize(picture.size))


def _box(centre: tuple[float, float], radius: float) -> tuple[float, float, float, float]:
    return centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius


def _waves(
    draw: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, hue: float, chance: random.Random
) -> None:
    """Hills that rise and fall across the page, nearer ones darker."""
    for index in range(7):
        base = centre[1] + radius * 0.35 + index * chance.uniform(62, 86)
        height, length, shift = chance.uniform(26, 70), chance.uniform(320, 640), chance.uniform(0, math.tau)
        line = [(x, base + height * math.sin(x / length * math.tau + shift)) for x in range(0, WIDTH + 9, 8)]
        fill = (*_color(hue + 0.02 * index, 0.6, 0.5 - 0.06 * index), 205)
        draw.polygon([*line, (WIDTH, HEIGHT), (0, HEIGHT)], fill=fill)


def _petals(
    draw: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, hue: float, chance: random.Random
) -> None:
    """A flower of ellipses turned round the sun."""
    count, reach = chance.randint(9, 16), radius * chance.uniform(1.2, 1.5)
    for index in range(count):
        angle = math.tau * index / count
        tip = (centre[0] + reach * math.cos(angle), centre[1] + reach * math.sin(angle))
        draw.ellipse(_box(tip, radius * 0.42), fill=(*_color(hue + index / count * 0.18, 0.75, 0.58), 120))
    draw.ellipse(_box(centre, radius * 0.55), fill=(*_color(hue + 0.5, 0.95, 0.8), 255))


def _shards(
    draw: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, hue: float, chance: random.Random
) -> None:
    """Glass triangles that fly from the sun."""
    for index in range(26):
        angle, distance = chance.uniform(0, math.tau), chance.uniform(radius * 0.3, radius * 2.2)
        middle = (centre[0] + distance * math.cos(angle), centre[1] + distance * math.sin(angle))
        size = chance.uniform(30, 150)
        corners = [
            (middle[0] + size * math.cos(turn), middle[1] + size * math.sin(turn))
            for turn in (chance.uniform(0, math.tau) for _ in range(3))
        ]
        draw.polygon(corners, fill=(*_color(hue + 0.03 * (index % 7), 0.7, chance.uniform(0.45, 0.72)), 130))


def _shade(picture: Image.Image) -> Image.Image:
    """Darken the lower part, so that the letters can be read on anything."""
    mask = (
        Image.linear_gradient("L")
        .resize((WIDTH, HEIGHT))
        .point([max(0, (level - 110) * 3 // 2) for level in range(256)])
    )
    return Image.composite(Image.new("RGB", picture.size, (8, 8, 16)), picture.convert("RGB"), mask)


def _lettering(picture: Image.Image, product: str, brand: str, hue: float) -> None:
    draw = ImageDraw.Draw(picture)
    accent = _color(hue + 0.45, 0.9, 0.72)
    draw.text((WIDTH / 2, HEIGHT - 46), _NOTE, font=ImageFont.load_default(20), fill=(200, 200, 210), anchor="mm")
    room = WIDTH - 2 * _MARGIN
    for text, size, height, bottom, fill in ((brand.upper(), 46, 64, 108, accent), (product, 112, 400, 216, _WHITE)):
        fitted = fit(text, size, room, height)
        place = _MARGIN, HEIGHT - bottom
        draw.multiline_text(place, fitted.text, font=fitted.font, fill=fill, anchor="ld", spacing=SPACING)
    draw.rectangle((_MARGIN, HEIGHT - 192, _MARGIN + 120, HEIGHT - 186), fill=accent)
