"""Texts in the pages: the English ones, an operator's, and nothing that one of them could break."""

import json
import re

import pytest

from gateway.api.page_texts import with_texts
from gateway.settings.page_texts import default_texts
from gateway.static_folder import FOLDER
from tests.running import RunningGateway


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="texts">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    texts: dict[str, object] = json.loads(found[1])
    return texts


def test_every_text_is_said_somewhere_and_nothing_else_is_asked_for() -> None:
    markup = "".join(path.read_text() for path in FOLDER.glob("*.html"))
    pages = (path for path in FOLDER.glob("*.js") if path.name != "ai-image-form.js")  # the form has texts of its own
    scripts = "".join(path.read_text() for path in pages)
    named, used = set(re.findall(r"{{(\w+)}}", markup)), set(re.findall(r"(?<![\w/-])texts\.(\w+)", scripts))
    assert named | used - {"form"} == default_texts().keys()


def test_a_text_says_what_it_says_and_does_nothing() -> None:
    hostile = "</script><script>alert(1)</script> \"' & {{title}} <!--"
    page = with_texts('<title a="{{title}}">{{title}}</title></head>', {"title": hostile, "library": hostile})
    assert page.count("<script") == page.count("</script") == 1
    assert "<!--" not in page
    assert "&lt;/script&gt;" in page
    assert page.count("{{title}}") == 4, "what a text brings is not filled in again"
    assert data_of(page)["library"] == hostile


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_pages_are_served_with_their_texts(gateway: RunningGateway) -> None:
    html = {"Accept": "text/html"}
    for path in ("/", "/admin", "/sign-in", "/nothing"):
        page = (await gateway.http.get(path, headers=html)).text
        assert "{{" not in page.partition("<body>")[2], path
        assert data_of(page)["close"] == "Close"
    english = await gateway.http.get("/")
    texts = json.dumps({"language": "de", "title": "Bilder & mehr", "form": {"generate": "Los"}})
    gateway.state.settings = gateway.state.settings.model_copy(update={"page_texts": texts})
    german = await gateway.http.get("/", headers={"If-None-Match": english.headers["ETag"]})
    assert german.status_code == 200, "another page than before"
    assert '<html lang="de" dir="ltr">' in german.text
    assert "<title>Bilder &amp; mehr</title>" in german.text
    assert data_of(german.text)["form"] == {"generate": "Los"}
    assert "<title>Page not found · Bilder &amp; mehr</title>" in (await gateway.http.get("/x", headers=html)).text
