"""The files that a browser loads: types, validators, compression, and no mixture of two versions."""

import gzip
import mimetypes
import re
from pathlib import Path

import pytest
from starlette.requests import Request

from gateway.api.errors import ApiError
from gateway.api.static_files import TYPES, StaticFiles, accepts_gzip
from gateway.static_folder import FOLDER
from tests.running import RunningGateway


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw})


def made(folder: Path, **files: str) -> StaticFiles:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return StaticFiles(folder)


def body(files: StaticFiles, path: str, **headers: str) -> bytes:
    return bytes(files.answer(request(**headers), path).body)


def test_types_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows' registry often says that scripts are plain text, and with nosniff no browser runs them."""
    monkeypatch.setattr(mimetypes, "types_map", {".js": "text/plain"})
    files = made(tmp_path, a_js="export const a = 1;", b_css="b {}", c_html="<!doctype html>", d_svg="<svg/>")
    for name, media_type in (
        ("a.js", "text/javascript; charset=utf-8"),
        ("b.css", "text/css; charset=utf-8"),
        ("c.html", "text/html; charset=utf-8"),
        ("d.svg", "image/svg+xml"),
    ):
        assert files.answer(request(), name).headers["content-type"] == media_type


def test_every_file_has_a_type_but_the_page_about_them_which_is_not_served() -> None:
    assert {path.suffix for path in FOLDER.rglob("*") if path.is_file()} == {*TYPES, ".md"}
    with pytest.raises(ApiError):
        StaticFiles(FOLDER).answer(request(), "README.md")


def test_an_upgrade_cannot_mix_modules(tmp_path: Path) -> None:
    """A page that was loaded before finds its own version or nothing; one that comes after finds the new one."""
    old = made(tmp_path, page_html='<script src="/static/a.js">', a_js='import "./b.js";', b_js="export const b = 1;")
    new = made(tmp_path, b_js="export const b = 2;")
    assert old.version != new.version
    assert body(new, "page.html") == f'<script src="/static/{new.version}/a.js">'.encode()
    assert body(new, f"{new.version}/b.js") == b"export const b = 2;"
    with pytest.raises(ApiError, match="not found"):
        new.answer(request(), f"{old.version}/b.js")


def test_a_module_without_a_version_hands_on_to_one(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "c.js").write_text("export const c = 1;")
    files = made(tmp_path, a_js='import "./deep/c.js";\n', b_js="export class B {}")
    assert f'export {{}} from "./{files.version}/a.js";' in body(files, "a.js").decode()
    assert f'export * from "./{files.version}/b.js";' in body(files, "b.js").decode()
    assert f'export * from "../{files.version}/deep/c.js";' in body(files, "deep/c.js").decode()
    assert files.answer(request(), "b.js").headers["cache-control"] == "no-cache"
    assert "immutable" in files.answer(request(), f"{files.version}/b.js").headers["cache-control"]


def test_who_has_a_file_is_not_sent_it_again(tmp_path: Path) -> None:
    files = made(tmp_path, a_css="a {}" * 1000)
    for accepted in ("identity", "gzip"):
        answer = files.answer(request(accept_encoding=accepted), "a.css")
        again = files.answer(request(if_none_match=answer.headers["etag"], accept_encoding=accepted), "a.css")
        assert (again.status_code, again.body) == (304, b"")
        assert again.headers["cache-control"] == answer.headers["cache-control"]
    assert files.answer(request(if_none_match='"other"'), "a.css").status_code == 200


def test_compression_where_it_is_understood(tmp_path: Path) -> None:
    text = "a { color: red }" * 1000
    files = made(tmp_path, a_css=text, b_css="b {}")
    answer = files.answer(request(accept_encoding="br, gzip"), "a.css")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding, Origin"
    assert int(answer.headers["content-length"]) == len(answer.body) < 500
    assert gzip.decompress(bytes(answer.body)).decode() == text
    assert body(files, "a.css") == text.encode()
    assert body(files, "b.css", accept_encoding="gzip") == b"b {}"


@pytest.mark.parametrize(
    ("header", "accepted"),
    [("", False), ("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("gzip; q=0.00", False), ("*", True)],
)
def test_accept_encoding(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_page_names_one_version_of_everything(gateway: RunningGateway) -> None:
    for page in ("/", "/admin", "/static/index.html"):
        text = (await gateway.http.get(page)).text
        paths = set(re.findall(r'"(/static/[^"]+)"', text))
        assert len({path.split("/")[2] for path in paths}) == 1
        for path in paths:
            answer = await gateway.http.get(path)
            assert (answer.status_code, "immutable" in answer.headers["Cache-Control"]) == (200, True), path
    for missing in ("/static/", "/static/nothing.js", "/static/../pyproject.toml", "/static/%2e%2e/pyproject.toml"):
        assert (await gateway.http.get(missing)).status_code == 404
