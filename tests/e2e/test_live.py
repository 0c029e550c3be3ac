"""The socket tells what went stale; without it the page asks by itself; hidden and paused pages are silent."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from app import clock
from app.model.fleet import HealthStatus
from tests.support.shown import make_fleet, show


def change(served) -> None:
    """Another service fails. The reader's own clock stands still here, so it is told to look again."""
    show(served.site.store, make_fleet(clock.now(), cart=HealthStatus.FAILING))
    served.site.parts.reader.forget()


def settle(page, served) -> None:
    """Let what was asked before come in, so that what is asked from here on stands alone."""
    served.asked.append("something")
    while served.asked:
        served.asked.clear()
        page.wait_for_timeout(300)


def test_a_change_in_the_store_reaches_the_page_by_itself(visit, served):
    page = visit("/")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    expect(page.locator("#live")).to_have_text(re.compile(r"live \d+ s"))
    change(served)
    expect(page.locator("h1")).to_have_text(re.compile("^2 failing"))
    expect(page.locator("#announcer")).to_have_text("cart is failing")


def test_a_paused_page_says_since_when_and_changes_only_when_resumed(visit, served):
    page = visit("/")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    page.keyboard.press("p")
    expect(page.locator("#live")).to_have_text(re.compile(r"paused at \d\d:\d\d:\d\d"))
    settle(page, served)
    change(served)
    page.wait_for_timeout(1500)
    assert served.asked == []
    page.get_by_role("button", name="Resume live updates").click()
    expect(page.locator("h1")).to_have_text(re.compile("^2 failing"))


def hide(page, hidden: bool) -> None:
    page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def test_a_hidden_page_asks_nothing_and_catches_up_when_shown(visit, served):
    page = visit("/")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    hide(page, True)
    settle(page, served)
    change(served)
    page.wait_for_timeout(1500)
    assert served.asked == []
    hide(page, False)
    expect(page.locator("h1")).to_have_text(re.compile("^2 failing"))


def test_without_the_socket_the_page_polls_and_says_so(visit, served):
    visit.expected = ["WebSocket connection to"]
    page = visit("/settings/me")
    page.clock.install()
    page.route_web_socket("**/socket.io/**", lambda socket: socket.close())
    page.goto("/")
    expect(page.locator("#live")).to_have_attribute("data-state", "polling")
    change(served)
    page.clock.run_for(16_000)
    expect(page.locator("h1")).to_have_text(re.compile("^2 failing"))


def test_a_lost_event_costs_at_most_a_minute(visit, served):
    page = visit("/settings/me")
    page.clock.install()
    page.goto("/")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    served.site.parts.live.tell_changes = lambda: 0
    change(served)
    page.clock.run_for(61_000)
    expect(page.locator("h1")).to_have_text(re.compile("^2 failing"))


def test_a_page_of_the_past_never_moves(visit, served):
    page = visit("/?at=2026-11-20T10:00:00Z")
    expect(page.locator("#live")).to_have_text(re.compile("frozen at 10:00:00"))
    settle(page, served)
    change(served)
    page.wait_for_timeout(1500)
    assert served.asked == []
    page.get_by_role("link", name="Back to now").click()
    expect(page.locator("h1")).to_have_text(re.compile("^2 failing"))


def test_ending_the_session_elsewhere_is_said_and_nothing_is_cleared(visit, served):
    page = visit("/")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    from app.store import sessions

    with served.site.store.begin() as session:
        for one in sessions.of_user(session, "alice"):
            sessions.end(session, one.digest)
    served.site.parts.live.recheck()
    expect(page.locator("#notices")).to_contain_text("You are signed out.")
    expect(page.locator("#live")).to_have_text("signed out")
    expect(page.locator(".tile")).to_have_count(4)


def test_reduced_updates_open_no_socket(visit, served):
    page = visit("/", prefs="calm=1")
    page.wait_for_timeout(800)
    assert served.site.parts.live.connected() == 0
    expect(page.locator("#live")).to_have_attribute("data-state", "polling")
