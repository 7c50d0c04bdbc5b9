"""From bytes to the one object that reports, whatever n8n has wrapped around it.

The same report reaches us as a callback's body, as a synchronous workflow's answer and inside an execution. Workflow
authors word it in many ways, and n8n adds its own: a byte order mark, a list of items, ``{"json": …}``, a JSON text in
a JSON string, ``NaN``, half a surrogate pair where an emoji was cut. What is unambiguous is read; here, once, for all.
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

FIELDS = ("requestId", "status", "Key", "Id", "error", "progress", "cost", "executionId", "success", "message")
"""What a report may hold. Everything else is dropped, so its size does not matter."""

_ALIASES = {"errorMessage": "error"}
"""Other names of a field, for who has not written the field itself."""

_WRAPPERS = ("json", "body", "data", "output", "result", "results", "response")

_DEPTH = 8
"""Most layers that are unwrapped."""

_MAX_ITEMS = 1000
"""Most items of one list that are searched for a report."""

MAX_VISITED = 3000
"""Most values (lists, their items, wrapped objects, JSON texts) of one body that are searched for a report."""

_BOM = b"\xef\xbb\xbf"


class Undecodable(Exception):
    """It is no JSON, even in n8n's habits."""


def decode(content: bytes) -> Any:  # noqa: ANN401 - JSON
    """The JSON in `content`.

    Beyond RFC 8259: a byte order mark, ``NaN`` and ``Infinity`` (as null), control characters and half surrogate pairs
    in strings, and bytes that are not UTF-8 (as U+FFFD).

    Raises:
        Undecodable: it is none, or nested too deeply.
    """
    content = content.removeprefix(_BOM)
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(content.decode(errors="replace"), parse_constant=lambda _: None, strict=False)
    except (ValueError, RecursionError) as error:
        raise Undecodable("no JSON") from error


def reports_in(content: object) -> Iterator[dict[str, Any]]:
    """Every object in `content` that may be a report, with the `FIELDS` that it has; what lies behind `MAX_VISITED`
    values is not looked at.

    An object's own fields win over those of what it wraps: ``{"requestId": …, "data": {"Key": …, "Id": …}}`` is one.
    """
    return _reports_in(content, _DEPTH, iter(range(MAX_VISITED)))


def _reports_in(content: object, depth: int, left: Iterator[int]) -> Iterator[dict[str, Any]]:
    """The same in as many layers, for as long as `left`, which the whole search shares, counts on."""
    if depth == 0 or next(left, None) is None:
        return
    if isinstance(content, str):
        text = content.strip("\ufeff \t\r\n")
        if text[:1] in ("{", "[", '"'):
            try:
                inner = decode(text.encode(errors="surrogatepass"))
            except Undecodable:
                return
            yield from _reports_in(inner, depth - 1, left)
    elif isinstance(content, list):
        for item in content[:_MAX_ITEMS]:
            yield from _reports_in(item, depth - 1, left)
    elif isinstance(content, dict):
        own = {name: content[name] for name in FIELDS if content.get(name) is not None}
        for alias, name in _ALIASES.items():
            if content.get(alias) is not None:
                own.setdefault(name, content[alias])
        wrapped = [
            report
            for name in _WRAPPERS
            if name in content
            for report in _reports_in(content[name], depth - 1, left)
            if report
        ]
        if own and len(wrapped) > 1:
            wrapped = [likeliest(wrapped)]
        for report in wrapped:
            yield report | own
        if not wrapped:
            yield own


def likeliest(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Of several, the one that says most: a picture, else how it ended, else the first."""
    for wanted in (("Key", "Id"), ("status",), ("error",)):
        for report in reports:
            if all(report.get(name) for name in wanted):
                return report
    return reports[0]
