"""The browser of `tests/browser`."""

from tests.browser.conftest import chromium

__all__ = ["chromium"]
