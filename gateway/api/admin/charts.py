"""Charts of the dashboard: SVG without scripts, drawn on the server. Each is readable as a table too, on the page."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pygal
from pygal.etree import etree
from pygal.style import Style

# pygal leaves a hook of Python 2's kind in the import system, for maps that we do not draw. Every later import would
# meet it, and warn.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "PluginImportFixer"]

# Readable on a light and on a dark page: an SVG inside an <img> follows the page's colour scheme.
_COLOURS = (
    "inline:{{ id }} text { fill: #1c1b29 !important } "
    "{{ id }} .guides .line, {{ id }} .axis .line { stroke: #85849a66 !important } "
    "@media (prefers-color-scheme: dark) { {{ id }} text { fill: #f1f0fa !important } }"
)

COLOURS = ("#26a686", "#b63580", "#7a6fe0", "#b98012")
"""Of `STATUSES`, in their order."""

_HATCH = "hatch"
"""The id of the pattern that failures are filled with."""

_STYLE = Style(
    background="transparent",
    plot_background="transparent",
    font_family="system-ui, sans-serif",
    label_font_size=11,
    major_label_font_size=11,
    opacity="1",
    # Those of the page's legend, at least 3:1 on its light and its dark surface; what ended well and what did not
    # differ in lightness too, and failures are hatched, for those who do not see red and green apart.
    colors=COLOURS,
)

STATUSES = ("completed", "failed", "processing", "pending")


WIDTH = 760
HEIGHT = 200


def stacked_bars(
    labels: Sequence[str], series: Mapping[str, Sequence[int]], shown_labels: Sequence[str], width: int = WIDTH
) -> bytes:
    """A bar of counts for each label, stacked by series, as an SVG document."""
    counts = _options(value_formatter=lambda count: f"{count:,.0f}", order_min=0, width=width)
    chart = pygal.StackedBar(**counts, x_labels=list(labels), x_labels_major=list(shown_labels))
    for name, values in series.items():
        chart.add(name, list(values))
    return _render(chart)


def bars(
    labels: Sequence[str], name: str, values: Sequence[float], shown_labels: Sequence[str], width: int = WIDTH
) -> bytes:
    """A bar for each label, as an SVG document."""
    chart = pygal.Bar(**_options(width=width), x_labels=list(labels), x_labels_major=list(shown_labels))
    chart.add(name, list(values))
    return _render(chart)


def _options(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - pygal's options
    return {
        "style": _STYLE,
        "height": HEIGHT,
        "margin": 4,
        "margin_right": 16,  # half of the last label
        "show_legend": False,
        "min_scale": 2,
        "max_scale": 5,
        "show_minor_x_labels": False,
        "truncate_label": -1,
        "print_values": False,
        "js": [],
        "css": ["file://style.css", "file://graph.css", _COLOURS],
        "disable_xml_declaration": True,
        "no_data_text": "Nothing yet",
        **more,
    }


def _hatch(root: Any) -> None:  # noqa: ANN401 - lxml or the standard library
    """Define the pattern, and fill the bars of the second series with it."""
    defs = etree.SubElement(root, "defs")
    lines = {"id": _HATCH, "width": "6", "height": "6", "patternUnits": "userSpaceOnUse"}
    pattern = etree.SubElement(defs, "pattern", {**lines, "patternTransform": "rotate(45)"})
    etree.SubElement(pattern, "rect", {"width": "6", "height": "6", "fill": COLOURS[1]})
    etree.SubElement(pattern, "rect", {"width": "2", "height": "6", "fill": "#ffffff", "fill-opacity": "0.55"})
    for group in root.iter():
        if "serie-1" in group.get("class", "").split():
            for bar in group.iter():
                if "rect" in bar.get("class", "").split():
                    bar.set("style", f"fill: url(#{_HATCH})")


def _render(chart: Any) -> bytes:  # noqa: ANN401 - pygal has no types
    root = chart.render_tree()
    _hatch(root)
    for parent in root.iter():
        for script in [child for child in parent if child.tag == "script"]:
            parent.remove(script)
    return bytes(etree.tostring(root, encoding="utf-8"))
