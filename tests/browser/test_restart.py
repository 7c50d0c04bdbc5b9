"""The demo is restarted under an open page, which then shows the picture that was being drawn."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.form import fill, picture
from tests.processes.spawning import GatewayProcess, closing_all
from tests.servers import free_port

SECONDS = 60
"""The page tries again with growing pauses."""


def demo(port: int, folder: Path) -> GatewayProcess:
    """A demo that answers."""
    process = GatewayProcess("demo", "--port", str(port), folder=folder, environment={})
    process.wait_for("The gateway's demo runs at")
    return process


@pytest.mark.timeout(180)
async def test_a_restart_under_an_open_page_completes(page: Page, tmp_path: Path) -> None:
    page.expected_errors = ("ERR_CONNECTION", "WebSocket")  # type: ignore[attr-defined]
    port = free_port()
    with closing_all([]) as processes:
        processes.append(await asyncio.to_thread(demo, port, tmp_path))
        await fill(page, f"http://127.0.0.1:{port}")
        bar = page.locator("ai-image-form section[part=request]").get_by_role("progressbar")
        await expect(bar).to_have_attribute("value", re.compile(r"\d+"))  # a busy machine may skip any one number
        await asyncio.to_thread(processes[0].kill)
        processes.append(await asyncio.to_thread(demo, port, tmp_path))
        await expect(picture(page)).to_be_visible(timeout=SECONDS * 1000)
        await expect(page.locator("#assets img").first).to_be_visible(timeout=SECONDS * 1000)
