"""Chromium without a screen, and what is on the page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.warm_process import REPOSITORY

SCREENSHOTS = Path(os.environ.get("PYUPC_SCREENSHOTS", REPOSITORY / "build" / "screenshots"))

WIDE = {"width": 1440, "height": 1000}
PHONE = {"width": 390, "height": 844}

# It is asked for nothing but the page: what it would fetch for itself leads nowhere here.
_OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

# All that a reader can see of the ladder and around it, in one moment.
_SNAPSHOT = """() => {
    const text = (id) => document.getElementById(id).textContent;
    const rows = [...document.querySelectorAll("#ladder tr[data-strike]")];
    return {
        last_updated: document.getElementById("ladder").dataset.lastUpdated ?? null,
        price: text("price"), momentum: text("momentum"), ttc: text("ttc"),
        event_ticker: text("event-ticker"), fingerprint: text("fingerprint"),
        state: text("state"), feed: text("feed"),
        event: document.getElementById("ladder").dataset.event,
        bets: [...document.querySelectorAll("#bets-list li:not([hidden])")].map((line) => ({
            ...line.dataset,
            text: Object.fromEntries([...line.querySelectorAll("[data-key]")].map(
                (part) => [part.dataset.key, part.textContent]
            )),
        })),
        rows: rows.map((row) => ({
            strike: Number(row.dataset.strike), label: row.querySelector("th").innerText,
            worth: Object.fromEntries([...row.querySelectorAll("[data-worth]")].map(
                (cell) => [cell.dataset.key, cell.dataset.worth]
            )),
            cells: Object.fromEntries([...row.querySelectorAll("[data-key]")].map(
                (cell) => [cell.dataset.key, [cell.dataset.value, cell.textContent.trim()]]
            )),
        })),
    };
}"""


def chromium() -> str:
    """Path of Chromium; skips the test if there is none."""
    path = os.environ.get("PYUPC_CHROMIUM", "/usr/bin/chromium")
    if not Path(path).exists():
        pytest.skip(f"no browser in {path}: install Debian's chromium, or set PYUPC_CHROMIUM")
    return path


@contextmanager
def browsing() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=_OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    page: Page
    complaints: list[str] = field(default_factory=list)
    """Errors in the browser's console, violations of the policy included."""

    def snapshot(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate(_SNAPSHOT)
        return found

    def freshness(self) -> str | None:
        return self.page.get_attribute("body", "data-freshness")

    def banner(self) -> str | None:
        """Text of the banner; None without one."""
        if not self.page.is_visible("#banner"):
            return None
        return self.page.inner_text("#banner")

    def color_of(self, selector: str) -> str:
        query = "(element) => getComputedStyle(element).color"
        return str(self.page.eval_on_selector(selector, query))


def keep(visit: Visit, name: str, *, full: bool = False) -> None:
    """Keep a picture for whoever looks at the run."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    visit.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=full)


def assert_accessible(visit: Visit) -> None:
    found = Axe().run(visit.page).response["violations"]
    serious = [
        f"{each['id']}: {node['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
    assert serious == []


@contextmanager
def visiting(browser: Browser, address: str, **options: Any) -> Iterator[Visit]:
    """The page in a window of its own."""
    context = browser.new_context(**{"viewport": WIDE, **options})
    try:
        visit = Visit(context.new_page())
        visit.page.on(
            "console",
            lambda message: (
                visit.complaints.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.goto(address)
        yield visit
    finally:
        context.close()
