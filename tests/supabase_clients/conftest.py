"""The browser of `tests/browser`, for the component that runs in one."""

from tests.browser.conftest import chromium

__all__ = ["chromium"]
