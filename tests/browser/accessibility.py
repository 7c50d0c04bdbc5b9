"""axe-core in the page: what a screen reader, a keyboard or a weak eye would stumble over."""

from importlib.resources import files

from playwright.async_api import Page

_SCRIPT = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")

# Transitions would be caught half-way, with colours that nobody sees for longer than a blink.
_RUN = """async () => {
    await Promise.all(document.getAnimations().filter((one) => one.transitionProperty).map((one) => one.finished));
    const { violations } = await axe.run(document, { resultTypes: ["violations"] });
    return violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.flat()} ${node.failureSummary}`));
}"""


async def violations(page: Page) -> list[str]:
    """Serious and critical violations in the whole page, shadow trees too.

    The script is evaluated, not added: the page's Content-Security-Policy lets no script in.
    """
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_SCRIPT)
    found: list[str] = await page.evaluate(_RUN)
    return found
