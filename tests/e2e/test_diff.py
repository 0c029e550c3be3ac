"""The diff page: read, filtered, swapped, opened row by row and on its map, grown, and without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from app import clock
from app.model.series import Window
from app.web.windows import written
from tests.e2e.conftest import Served, Visitor, _visitor
from tests.support import windows

PHONE = (390, 844)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def asked(empty_served: Served) -> dict[str, str]:
    """Both windows of a rollout after which order fails and payment is slow."""
    return windows.remember(empty_served.site.store)


@pytest.fixture
def visit(browser: Browser, empty_served: Served, asked: dict[str, str]) -> Iterator[Visitor]:
    yield from _visitor(browser, empty_served)


def address(asked: dict[str, str], **more: str) -> str:
    return "/topology/diff?" + urlencode(asked | more)


def drawn(page: Page) -> Page:
    """The page once its map stands."""
    expect(page.locator("#map")).to_have_attribute("data-nodes", re.compile(r"\d+"))
    return page


def row(page: Page, name: str):
    return page.locator("[data-row]").filter(has=page.get_by_role("rowheader", name=name))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), PHONE])
def test_the_page_has_no_finding_and_fits_its_width(visit, axe, asked, theme, size):
    page = visit(address(asked), theme=theme, size=size)
    if size != PHONE:
        drawn(page)
    expect(page.locator("h1")).to_contain_text("services got worse")
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), PHONE])
def test_a_row_opens_both_values_beside_the_list_and_returns_the_focus(visit, axe, asked, theme, size):
    page = visit(address(asked), theme=theme, size=size)
    link = row(page, "order").get_by_role("link", name="Both values")
    link.click()
    panel = page.get_by_role("dialog", name="Details")
    expect(panel.get_by_role("heading", name="order")).to_be_visible()
    expect(panel.get_by_role("row", name="errors")).to_have_text(re.compile(r"errors\s*0 %\s*12 %"))
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(link).to_be_focused()


def test_a_click_on_the_map_opens_both_values_too(visit, asked):
    page = drawn(visit(address(asked)))
    page.locator('.node[data-id$=":payment"]').click()
    panel = page.get_by_role("dialog", name="Details")
    expect(panel.get_by_role("row", name="version")).to_have_text(re.compile(r"v42\s*v43"))
    expect(panel.get_by_role("row", name="p95")).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_the_map_marks_what_changed(visit, asked):
    page = drawn(visit(address(asked)))
    for name in ("order", "payment"):
        expect(page.locator(f'.node[data-id$=":{name}"]')).to_have_class(re.compile("m-worse"))
    expect(page.locator('.node[data-id$=":cart"]')).not_to_have_class(re.compile("m-"))


def test_the_classes_that_are_ticked_are_listed_and_in_the_address(visit, asked):
    page = visit(address(asked))
    expect(page.locator("[data-row]")).to_have_count(2)
    page.get_by_role("checkbox", name="same").check()
    expect(row(page, "cart")).to_be_visible()
    expect(page).to_have_url(re.compile("show=same"))
    page.get_by_role("checkbox", name="worse").uncheck()
    expect(row(page, "payment")).to_have_count(0)


def test_swapping_shows_what_got_better(visit, asked):
    page = visit(address(asked, show="better"))
    expect(page.locator(".empty")).to_contain_text("Nothing of the chosen classes")
    page.get_by_role("link", name="Swap").click()
    expect(row(page, "order")).to_contain_text("errors 12 % → 0 %")


def test_a_window_that_ended_now_says_when_it_has_grown(visit, asked):
    end = clock.now().replace(second=0, microsecond=0) - 3 * MINUTE
    grown = {"b": written(Window(end - 10 * MINUTE, end)), "ra": "b-10m", "rb": "now-10m/now"}
    page = visit(address(asked, **grown))
    chip = page.get_by_role("link", name="recompute")
    expect(chip).to_have_text(re.compile(r"B has grown by [34] min, recompute"))
    chip.click()
    expect(page).to_have_url(re.compile("rb=now-10m"))
    expect(page.get_by_role("link", name="recompute")).to_be_hidden()


def test_a_fixed_window_has_nothing_to_recompute(visit, asked):
    expect(visit(address(asked)).locator("[data-grown]")).to_have_count(0)


@pytest.mark.parametrize("size", [(1280, 900), PHONE])
def test_without_scripts_all_of_it_can_be_used(visit, asked, size):
    page = visit(address(asked), scripts=False, size=size)
    row(page, "order").get_by_role("link", name="Both values").click()
    values = page.get_by_role("region", name="Both values")
    expect(values.get_by_role("row", name="errors")).to_have_text(re.compile(r"errors\s*0 %\s*12 %"))
    page.get_by_role("checkbox", name="same").check()
    page.get_by_role("button", name="Apply").click()
    expect(row(page, "cart")).to_be_visible()
    page.get_by_label("A, before").fill("b-1d")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("h1")).to_contain_text("Nothing is kept of one of the windows")
