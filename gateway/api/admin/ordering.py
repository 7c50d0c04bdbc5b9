"""In which order an administrator sees requests, and the cursors of its pages."""

import re
from collections.abc import Mapping

from jwt.utils import base64url_decode, base64url_encode

from gateway.api.cursors import place_in, text_of
from gateway.api.documents.schemas import TEXT, Schema, parameter
from gateway.api.errors import ApiError
from gateway.ids import parse_id
from storage.selection import Order, Place, Sort

_DIRECTIONS = ("desc", "asc")

_SORT: Schema = {"enum": [*Sort, ""]}
_ORDER: Schema = {"enum": [*_DIRECTIONS, ""]}

ORDER_PARAMETERS = [
    parameter("sort", "query", "By what: time (of the submission), duration or cost. What has none comes last.", _SORT),
    parameter("order", "query", "desc, or asc.", _ORDER),
]
PAGE_PARAMETERS = [
    *ORDER_PARAMETERS,
    parameter("cursor", "query", "The page after: a page's `nextCursor`, of the same sort and order.", TEXT),
    parameter("newer", "query", "The page before: a page's `previousCursor`, instead of `cursor`.", TEXT),
]


def order_of(asked: Mapping[str, str]) -> Order:
    """The order that is asked for: newest first without any.

    Raises:
        ApiError: 400.
    """
    sort, direction = asked.get("sort") or Sort.TIME, asked.get("order") or "desc"
    if sort not in [*Sort]:
        raise ApiError(400, "invalid_parameter", f"sort must be one of {', '.join(Sort)}.")
    if direction not in _DIRECTIONS:
        raise ApiError(400, "invalid_parameter", f"order must be one of {', '.join(_DIRECTIONS)}.")
    return Order(Sort(sort), direction == "asc")


def cursor_of(place: Place | None, order: Order) -> str | None:
    """`place` as clients carry it: opaque, and good in this order only."""
    if place is None:
        return None
    key = "" if place.key is None else place.key
    text = f"{_name(order)} {key} {text_of(place.created_at)} {place.id}"
    return base64url_encode(text.encode()).decode()


def place_of(asked: Mapping[str, str], name: str, order: Order) -> Place | None:
    """The place that the cursor in the parameter `name` stands for; None without one.

    Raises:
        ApiError: 400.
    """
    if not (cursor := asked.get(name)):
        return None
    wrong = ApiError(
        400, "invalid_parameter", f"{name} must be a cursor of an earlier answer with this sort and order."
    )
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}", cursor):
        raise wrong
    try:
        named, key, rest = base64url_decode(cursor).decode().split(" ", 2)
        moment, _, request_id = rest.rpartition(" ")
        created_at = place_in(moment)
    except (ValueError, OverflowError) as error:
        raise wrong from error
    parsed = parse_id(request_id)
    if named != _name(order) or parsed is None or not re.fullmatch(r"(-?[0-9]{1,18})?", key):
        raise wrong
    return Place(int(key) if key else None, created_at, parsed)


def _name(order: Order) -> str:
    return f"{order.sort}.{'asc' if order.ascending else 'desc'}"
