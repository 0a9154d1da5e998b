"""The page as it is published, opened from a folder in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from sync_agent.check import publish
from tests.sync_agent.check.slips import AGENT, NOW
from tests.sync_agent.web.conftest import browser

__all__ = ["browser"]


@pytest.fixture
def address(tmp_path: Path) -> str:
    publish.write(tmp_path / "page", [AGENT])
    return (tmp_path / "page" / publish.PAGE).as_uri()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page, open, in a browser in Lhasa that has no network; whatever it complains of fails the test."""
    context = browser.new_context(timezone_id="Asia/Shanghai", offline=True)
    page = context.new_page()
    page.set_default_timeout(10_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.clock.set_fixed_time(NOW)
    page.goto(address)
    yield page
    context.close()
    assert complaints == []
