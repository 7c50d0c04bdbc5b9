"""The pages in another language: the file that the page about them shows, as it stands there."""

from pathlib import Path

from playwright.async_api import Page, expect

from tests.browser.accessibility import violations
from tests.browser.conftest import demo_with_a_past
from tests.markdown import ROOT, code


async def test_the_documented_file_replaces_the_texts(tmp_path: Path, page: Page) -> None:
    (content,) = code(ROOT / "static" / "README.md", "json")
    (tmp_path / "texts.json").write_text(content, encoding="utf-8")
    with demo_with_a_past(tmp_path, PAGE_TEXTS="texts.json") as url:
        await page.goto(url)
        await expect(page).to_have_title("Bilderwerkstatt")
        await expect(page.locator("html")).to_have_attribute("lang", "de")
        await expect(page.get_by_role("heading", name="Bilderwerkstatt")).to_be_visible()
        await expect(page.get_by_role("heading", name="Ihre Bilder")).to_be_visible()
        await expect(page.locator("#usage")).to_have_text("Noch 999 von 1.000 Bildern in dieser Stunde")
        await expect(page.get_by_label("Produkt")).to_be_visible()
        await expect(page.get_by_role("button", name="Bild erzeugen")).to_be_visible()
        await expect(page.get_by_role("button", name="Load more")).to_be_hidden()
        await page.locator("#assets a").first.click()
        await expect(page.get_by_role("button", name="Schließen")).to_be_visible()
        await expect(page.get_by_role("button", name="Next image")).to_be_visible()  # what is left out stays English
        assert await violations(page) == []
        await page.goto(f"{url}/sign-in")
        await expect(page.get_by_text("Bilderwerkstatt")).to_be_visible()
        await page.goto("about:blank")
