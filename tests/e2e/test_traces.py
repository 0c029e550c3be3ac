"""Example traces in a browser: the list, the waterfall, its keys, and a phone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.support.kept_traces import FAILED_TRACE, seed_traces

LIST = "/services/demo/shop/order/traces"
ONE = f"/traces/{FAILED_TRACE}"
FAILED = f"s-{3:016x}"


@pytest.fixture(autouse=True)
def kept(served):
    seed_traces(served.site.store)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", [LIST, ONE])
def test_the_page_has_no_finding(visit, axe, path, theme):
    page = visit(path, theme=theme)
    expect(page.locator("h1")).to_have_count(1)
    assert axe(page) == []


@pytest.mark.parametrize("path", [LIST, ONE])
def test_a_phone_shows_all_of_it_without_scrolling_sideways(visit, axe, path):
    page = visit(path, size=(390, 844))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert axe(page) == []


def test_arrows_walk_the_lines_and_open_and_close_them(visit):
    page = visit(ONE)
    first = page.locator(".fall-row").first
    first.focus()
    page.keyboard.press("ArrowDown")
    second = page.locator(f"#s-{2:016x} summary")
    expect(second).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator(f"#s-{2:016x} details")).to_have_attribute("open", "")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(f"#s-{2:016x} details")).not_to_have_attribute("open", "")
    page.keyboard.press("Home")
    expect(first).to_be_focused()


def test_the_link_at_the_top_leads_to_the_failed_span_and_opens_it(visit):
    page = visit(ONE)
    page.locator(f"#{FAILED} details").evaluate("(one) => (one.open = false)")
    page.locator(f"main a[href='#{FAILED}']").first.click()
    expect(page.locator(f"#{FAILED} summary")).to_be_focused()
    expect(page.locator(f"#{FAILED}").get_by_text("exception.stacktrace")).to_be_visible()


def test_a_choice_filters_the_list_and_its_rows_lead_to_the_span(visit):
    page = visit(LIST)
    page.get_by_label("failed only").check()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("error=true"))
    page.get_by_role("link", name="gateway: POST /buy").click()
    expect(page).to_have_url(re.compile(f"{ONE}#s-{2:016x}$"))
    expect(page.locator(f"#s-{2:016x} summary")).to_be_focused()


def test_without_scripts_lines_open_and_the_form_filters(visit):
    page = visit(ONE, scripts=False)
    page.locator(f"#s-{4:016x} summary").click()
    expect(page.locator(f"#s-{4:016x}").get_by_text("server.address")).to_be_visible()
    page.goto(page.url.replace(ONE, LIST))
    page.get_by_label("failed only").check()
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_pasted_id_opens_the_trace_from_the_palette(visit):
    page = visit("/")
    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog", name="Search")
    palette.get_by_role("searchbox").fill(FAILED_TRACE)
    expect(palette.get_by_role("link")).to_have_count(1)
    palette.get_by_role("link").click()
    expect(page).to_have_url(re.compile(ONE))
