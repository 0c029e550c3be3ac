"""Every page of the shell: sound in both themes and at every width, with and without scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

PAGES = {
    "/": r"1 failing, 1 degraded",
    "/?healthy=hide&group=none": r"1 failing",
    "/search?q=or": "Search",
    "/settings/sources": r"answer",
    "/settings/me": "Preferences of this browser",
    "/settings/tokens": r"tokens are valid",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_one_answer_and_no_finding(visit, axe, path, theme):
    page = visit(path, as_="ada", theme=theme)
    expect(page.locator("h1")).to_have_count(1)
    expect(page.locator("h1")).to_have_text(re.compile(PAGES[path]))
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    assert axe(page) == []


@pytest.mark.parametrize("size", [(390, 844), (320, 700)])
@pytest.mark.parametrize("path", PAGES)
def test_a_narrow_page_never_scrolls_sideways(visit, axe, path, size):
    page = visit(path, as_="ada", size=size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    expect(page.get_by_role("navigation", name="Main, bottom")).to_be_visible()
    assert axe(page) == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_the_same_without_scripts(visit, path):
    page = visit(path, as_="ada", scripts=False)
    expect(page.locator("h1")).to_have_text(re.compile(PAGES[path]))
    expect(page.locator("#live")).to_contain_text("as of")
    expect(page.get_by_role("link", name="Reload")).to_be_visible()


def test_the_door_and_errors_have_no_finding(visit, axe):
    visit.expected = ["Failed to load resource: the server responded with a status of 404"]
    page = visit("/login", as_=None)
    expect(page.locator("h1")).to_have_text("Sign in")
    assert axe(page) == []
    lost = visit("/no/such/page?with=<b>text")
    expect(lost.locator("h1")).to_have_text("Not found")
    assert "text" not in lost.locator("main").inner_text()
    assert axe(lost) == []


def test_setup_makes_the_first_admin_and_signs_in(visit_empty, empty_served, axe):
    from app.store import settings
    from app.store.tables import users

    with empty_served.site.store.begin() as session:
        session.execute(users.delete())
        code = settings.new_setup_code(session)
    page = visit_empty("/", as_=None)
    expect(page).to_have_url(re.compile("/setup$"))
    assert axe(page) == []
    page.get_by_label("One-time code").fill(code)
    page.get_by_label("User").fill("first")
    page.get_by_label("Password").fill("a sentence is fine here")
    page.get_by_role("button", name="Make it and sign in").click()
    expect(page.locator("h1")).to_have_text("No services yet.")
    assert axe(page) == []


def test_signing_in_without_scripts_returns_to_the_page_and_out_again(visit):
    from tests.support.web import PASSWORD

    visit.expected = ["Failed to load resource: the server responded with a status of 401"]
    page = visit("/settings/sources", as_=None, scripts=False)
    page.get_by_label("User").fill("alice")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").first).to_contain_text("Name or password is not right.")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/settings/sources$"))
    page.goto("/settings/me")
    page.locator("main").get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/login$"))


def test_theme_and_density_are_in_the_markup_before_any_script(visit):
    page = visit("/", prefs="theme=dark.density=compact", scripts=False)
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_attribute("data-density", "compact")


def test_a_visitor_without_the_right_to_act_sees_no_administration(visit):
    page = visit("/", as_="bob")
    expect(page.get_by_role("navigation", name="Main", exact=True)).to_contain_text("Fleet")


def test_hostile_names_stay_text(visit, served, axe):
    from app import clock
    from tests.pages.test_fleet import HOSTILE
    from tests.support.shown import make_fleet, renamed, show

    show(served.site.store, renamed(make_fleet(clock.now()), HOSTILE))
    page = visit("/")
    page.on("dialog", lambda dialog: pytest.fail("a script of the fleet ran"))
    expect(page.get_by_text("<img src=x onerror=alert(1)>").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert axe(page) == []
    narrow = visit("/", size=(320, 700))
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 320
