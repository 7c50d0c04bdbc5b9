"""The stand-in for Supabase Storage: small variants of pictures, and what cannot be had."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette

from gateway.api.errors import ApiError, answer_to
from gateway.demo import object_store
from gateway.demo.object_store import ObjectStore
from gateway.demo.poster import draw_poster

RENDER = "/storage/v1/render/image/public/ai-images"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    made = ObjectStore(tmp_path / "objects")
    made.put("ai-images/tea.png", draw_poster("Tea", "Twinings", "1"))
    made.put("ai-images/text.png", b"no picture")
    (tmp_path / "secret.png").write_bytes(draw_poster("Secret", "None", "1"))
    return made


@pytest.fixture
async def http(store: ObjectStore) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=store.routes, exception_handlers={ApiError: answer_to})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://store") as client:
        yield client


async def test_a_variant_is_small_and_kept(http: httpx.AsyncClient, store: ObjectStore) -> None:
    whole = await http.get("/storage/v1/object/public/ai-images/tea.png")
    for accept, kind in (("image/avif,image/webp,*/*", "WEBP"), ("*/*", "PNG")):
        answer = await http.get(f"{RENDER}/tea.png?width=320&height=400&resize=cover", headers={"Accept": accept})
        picture = Image.open(io.BytesIO(answer.content))
        assert (picture.format, picture.size) == (kind, (320, 400))
        assert answer.headers["Content-Type"] == f"image/{kind.lower()}"
        assert answer.headers["Cache-Control"] == "max-age=3600"
        assert answer.headers["Vary"] == "Accept"
        assert (await http.get(answer.url, headers={"Accept": accept})).content == answer.content
        if kind == "WEBP":
            assert len(answer.content) * 6 < len(whole.content)
    assert (store._variant.cache_info().hits, store._variant.cache_info().misses) == (2, 2)


async def test_variants_are_bounded(
    http: httpx.AsyncClient, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store._variant.cache_info().maxsize == object_store.VARIANTS_KEPT
    assert (await http.get(f"{RENDER}/tea.png?width=1000&height=1")).status_code == 200
    sizes = ("", "width=320", "width=0&height=1", "width=1001&height=1", "width=-1&height=1", "width=1e3&height=1")
    for query in (*sizes, f"width={'9' * 5000}&height=1", "width=٣٢&height=1"):
        assert (await http.get(f"{RENDER}/tea.png?{query}")).status_code == 400, query[:30]


async def test_only_pictures_of_the_store_have_variants(http: httpx.AsyncClient) -> None:
    query = "?width=32&height=40"
    assert (await http.get(f"{RENDER}/text.png{query}")).json()["code"] == "invalid_image"
    for key in ("none.png", "", "%2e%2e/%2e%2e/secret.png", "..%2f..%2fsecret.png", "/etc/passwd", "x" * 3000):
        assert (await http.get(f"{RENDER}/{key}{query}")).status_code in (400, 404), key[:30]
