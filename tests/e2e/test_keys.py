"""The page by keyboard alone; no key changes anything."""

from __future__ import annotations

import re

from playwright.sync_api import expect


def test_rows_are_walked_and_the_panel_returns_the_focus(visit, axe):
    page = visit("/")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="order", exact=True).last).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("#svc-demo\\:shop\\:payment a")).to_be_focused()
    page.keyboard.press("o")
    drawer = page.get_by_role("dialog", name="Details")
    expect(drawer).to_be_visible()
    expect(drawer).to_be_focused()
    expect(drawer.get_by_role("heading", name="payment")).to_be_visible()
    assert axe(page) == []
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate("document.getElementById('drawer').contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(page.locator("#svc-demo\\:shop\\:payment a")).to_be_focused()


def test_the_panel_stays_open_across_pages(visit):
    page = visit("/")
    page.get_by_role("button", name="Details of order").click()
    expect(page.get_by_role("dialog", name="Details")).to_contain_text("Called by")
    page.goto("/settings/sources")
    expect(page.get_by_role("dialog", name="Details")).to_contain_text("Called by")


def test_help_lists_the_keys_and_closes_on_escape(visit, axe):
    page = visit("/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()


def test_sequences_go_places_and_an_old_first_key_is_forgotten(visit):
    page = visit("/")
    page.clock.install()
    page.keyboard.press("g")
    page.clock.run_for(1_500)
    page.keyboard.press(",")
    expect(page).to_have_url(re.compile("/$"))
    page.keyboard.press("g")
    page.keyboard.press(",")
    expect(page).to_have_url(re.compile("/settings/sources$"))


def test_the_palette_finds_and_opens_and_escape_returns(visit, axe):
    page = visit("/settings/sources")
    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog", name="Search")
    expect(palette.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("paym")
    expect(palette.get_by_role("link").first).to_contain_text("payment")
    assert axe(page) == []
    page.keyboard.press("ArrowDown")
    expect(palette.get_by_role("link").first).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Escape")
    expect(palette).to_be_hidden()
    page.keyboard.press("Control+k")
    palette.get_by_role("searchbox").fill("preferences")
    expect(palette.get_by_role("link")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/settings/me$"))


def test_single_keys_do_nothing_in_fields_or_when_switched_off(visit):
    page = visit("/")
    page.keyboard.press("/")
    expect(page.get_by_placeholder("Filter")).to_be_focused()
    page.keyboard.type("p?jg,")
    expect(page.get_by_placeholder("Filter")).to_have_value("p?jg,")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()
    quiet = visit("/", prefs="keys=0")
    quiet.keyboard.press("?")
    expect(quiet.get_by_role("dialog", name="Keyboard")).to_be_hidden()
    quiet.keyboard.press("Control+k")
    expect(quiet.get_by_role("dialog", name="Search")).to_be_visible()


def test_typing_in_the_filter_narrows_in_place_and_is_in_the_address(visit):
    page = visit("/?group=none")
    page.get_by_placeholder("Filter").fill("pay")
    expect(page.locator(".tile")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"group=none&q=pay|q=pay&group=none"))
    page.get_by_placeholder("Filter").fill("")
    expect(page.locator(".tile")).to_have_count(4)


def test_time_keys_change_the_range_and_make_it_absolute(visit):
    page = visit("/")
    page.keyboard.press("t")
    page.keyboard.press("-")
    expect(page).to_have_url(re.compile("from=now-7200s&to=now"))
    page.keyboard.press("t")
    page.keyboard.press("a")
    expect(page).to_have_url(re.compile(r"from=20\d\d-.*&to=20\d\d-"))
    expect(page.locator("#live")).to_have_attribute("data-state", "frozen")


def test_the_time_picker_works_by_mouse_keyboard_and_without_scripts(visit, axe):
    page = visit("/")
    page.get_by_text("Last 1 h").first.click()
    expect(page.get_by_role("link", name="Last 15 m")).to_be_focused()
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Last 15 m")).to_be_hidden()
    plain = visit("/?q=order", scripts=False)
    plain.get_by_text("Last 1 h").first.click()
    plain.get_by_role("link", name="Last 6 h").click()
    expect(plain).to_have_url(re.compile("q=order.*from=now-6h&to=now"))
    plain.get_by_text("Last 6 h").first.click()
    plain.get_by_label("From").fill("2026-11-20T09:00:00")
    plain.get_by_label("To", exact=True).fill("2026-11-20T10:00:00")
    plain.get_by_role("button", name="Show").click()
    expect(plain.get_by_text("This is the past")).to_be_visible()


def test_the_skip_link_is_first_and_leads_to_the_content(visit):
    page = visit("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
