"""The charts' colours, as people see them who do not see all colours."""

import itertools
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.dashboard import open_dashboard, with_changed_stats

CSS = (Path(__file__).parents[2] / "static" / "admin.css").read_text()

COLOURS = {
    name: re.findall(rf"--{name}: (#[0-9a-f]{{6}});", CSS)[0]
    for name in ("completed", "failed", "processing", "pending")
}

Linear = tuple[float, float, float]

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
SIMULATIONS = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
    "achromatopsia": ((0.2126, 0.7152, 0.0722),) * 3,
}


def linear(colour: str) -> Linear:
    """Linear RGB of ``#rrggbb`` (WCAG 2.2, relative luminance)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def seen(colour: str, simulation: str) -> Linear:
    channels = [
        min(1.0, max(0.0, sum(weight * part for weight, part in zip(row, linear(colour), strict=True))))
        for row in SIMULATIONS[simulation]
    ]
    return channels[0], channels[1], channels[2]


def luminance(colour: Linear) -> float:
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]


def contrast(one: Linear, other: Linear) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("simulation", SIMULATIONS)
def test_completed_and_failed_differ_in_lightness_however_one_sees(simulation: str) -> None:
    completed, failed = (seen(COLOURS[name], simulation) for name in ("completed", "failed"))
    assert contrast(completed, failed) >= 1.45, "as much as 3:1 on either surface leaves room for"


def test_all_are_seen_on_both_surfaces() -> None:
    for colour, surface in itertools.product(COLOURS.values(), ("#ffffff", "#1d1c2a")):
        assert contrast(linear(colour), linear(surface)) >= 3, (colour, surface)


async def test_bars_and_legend_have_these_colours_and_failures_are_hatched(page: Page, demo: str) -> None:
    hour = {"hour": f"{datetime.now(UTC):%Y-%m-%dT%H}", "requests": 4, "cost": "1", **dict.fromkeys(COLOURS, 1)}
    await with_changed_stats(page, demo, byHour=[hour])
    await open_dashboard(page, demo)
    for place in (".bars", ".legend"):
        for name, colour in COLOURS.items():
            drawn = page.locator(f"#chart-hours {place} span.{name}")
            await expect(drawn).to_have_count(1)
            style = await drawn.evaluate(
                "(span) => [getComputedStyle(span).backgroundColor, getComputedStyle(span).backgroundImage]"
            )
            rgb = ", ".join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))
            if name == "failed":
                assert style[1].startswith("repeating-linear-gradient(45deg"), "a pattern, where colours do not tell"
                assert f"rgb({rgb})" in style[1]
            else:
                assert style == [f"rgb({rgb})", "none"]
