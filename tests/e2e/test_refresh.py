"""What a refresh must not take away, and what each answer of the server does (interface design, 3.4)."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from msgspec import structs
from playwright.sync_api import Page, expect

from app import clock
from app.model.fleet import HealthStatus
from tests.support.shown import make_fleet, show

FAILED = "Failed to load resource: the server responded with a status of "


def part(body: str) -> str:
    return f'<section id="f-trial" data-fragment="/fragments/trial" data-topics="[]" data-rev="">{body}</section>'


def trial(visit, served, before: str, after: str) -> Page:
    """A page with one more fragment, whose next answer is `after`."""
    page = visit("/settings/me")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    page.evaluate(
        "(html) => document.querySelector('main').insertAdjacentHTML('beforeend', html)", part(before)
    )
    served.answers["/fragments/trial"] = (200, {"ETag": '"2"'}, part(after))
    return page


def again(page: Page) -> None:
    """Have everything refetched now."""
    page.evaluate("document.dispatchEvent(new CustomEvent('qd:refresh'))")


def change(served, **states) -> None:
    show(served.site.store, make_fleet(clock.now(), **states))
    served.site.parts.reader.forget()


# -- what stays in the user's hands ------------------------------------------------------------------------


def test_an_open_modal_dialog_stays_open_and_the_page_usable(visit, served):
    page = trial(visit, served, '<dialog id="d"><p>old</p></dialog>', '<dialog id="d"><p>new</p></dialog>')
    page.evaluate("document.getElementById('d').showModal()")
    again(page)
    expect(page.locator("#d p")).to_have_text("new")
    expect(page.locator("#d")).to_be_visible()
    page.evaluate("document.getElementById('d').close()")
    page.get_by_label("Time zone").click()


def test_opened_details_stay_open(visit, served):
    page = trial(
        visit,
        served,
        '<details id="x"><summary>more</summary><p>old</p></details>',
        '<details id="x"><summary>more</summary><p>new</p></details>',
    )
    page.get_by_text("more").click()
    again(page)
    expect(page.locator("#x p")).to_have_text("new")
    expect(page.locator("#x p")).to_be_visible()


def test_typed_text_and_choices_survive_in_focus_and_out_of_it(visit, served):
    markup = (
        '<p>{word}</p><label>First <input id="one" value="{word}"></label>'
        '<label>Two <input id="two" value="{word}"></label>'
        '<label>Three <textarea id="three">{word}</textarea></label>'
        '<label>Four <input id="four" type="checkbox"></label>'
        '<label>Five <select id="five"><option selected>a</option><option>b</option></select></label>'
        '<label>Six <input id="six" value="{word}"></label>'
    )
    page = trial(visit, served, markup.format(word="old"), markup.format(word="new"))
    page.get_by_label("Two").fill("typed and left")
    page.get_by_label("Three").fill("typed and left")
    page.get_by_label("Four").check()
    page.get_by_label("Five").select_option("b")
    page.get_by_label("First").fill("typed and focused")
    again(page)
    expect(page.locator("#f-trial p")).to_have_text("new")
    expect(page.locator("#one")).to_have_value("typed and focused")
    expect(page.locator("#one")).to_be_focused()
    expect(page.locator("#two")).to_have_value("typed and left")
    expect(page.locator("#three")).to_have_value("typed and left")
    expect(page.locator("#four")).to_be_checked()
    expect(page.locator("#five")).to_have_value("b")
    expect(page.locator("#six")).to_have_value("new")


def test_what_a_script_drew_is_kept_even_when_it_moves(visit, served):
    page = trial(
        visit,
        served,
        '<div id="chart" data-keep></div><p id="p">old</p>',
        '<p id="p">new</p><div id="chart" data-keep></div>',
    )
    page.evaluate("document.getElementById('chart').textContent = 'drawn'")
    again(page)
    expect(page.locator("#p")).to_have_text("new")
    expect(page.locator("#chart")).to_have_text("drawn")


def row(name: str) -> str:
    return f'<li id="r-{name}" data-row data-name="{name}"><a href="/{name}">{name}</a></li>'


def test_a_focused_row_keeps_focus_and_place_when_rows_are_added_before_it(visit, served):
    page = trial(
        visit,
        served,
        f"<ul>{row('b')}{row('c')}</ul>",
        f"<ul>{''.join(map(row, ['x', 'y', 'z', 'c', 'b']))}</ul>",
    )
    page.locator("#r-c a").focus()
    top = page.locator("#r-c").bounding_box()["y"]
    again(page)
    expect(page.locator("#r-x")).to_have_count(1)
    expect(page.locator("#r-c a")).to_be_focused()
    assert abs(page.locator("#r-c").bounding_box()["y"] - top) < 200


def test_when_the_focused_row_disappears_the_next_one_is_focused_and_it_is_said(visit, served):
    page = trial(visit, served, f"<ul>{row('a')}{row('b')}{row('c')}</ul>", f"<ul>{row('a')}{row('c')}</ul>")
    page.locator("#r-b a").focus()
    again(page)
    expect(page.locator("#r-c a")).to_be_focused()
    expect(page.locator("#announcer")).to_have_text("b is no longer listed")


def test_when_no_row_is_left_the_heading_is_focused(visit, served):
    page = trial(visit, served, f"<h2>Rows</h2><ul>{row('a')}</ul>", "<h2>Rows</h2><ul></ul>")
    page.locator("#r-a a").focus()
    again(page)
    expect(page.locator("#f-trial h2")).to_be_focused()


def test_ages_are_painted_with_the_morph_and_never_show_the_bare_time(visit, served):
    page = visit("/")
    again(page)
    change(served, cart=HealthStatus.DEGRADED)
    again(page)
    expect(page.locator("#svc-demo\\:shop\\:cart.tile")).to_be_visible()
    age = page.locator("#svc-demo\\:shop\\:cart .tile-age").inner_text().strip()
    assert re.fullmatch(r"\d+ s ago|\d+ m.* ago", age)


# -- what each answer does ---------------------------------------------------------------------------------


def test_an_unchanged_fragment_is_asked_with_its_tag_and_left_alone(visit, served):
    page = visit("/")
    seen = []
    page.on("response", lambda answer: seen.append((answer.url, answer.status)))
    with page.expect_response("**/fragments/wall*"):
        again(page)
    assert {status for url, status in seen if "/fragments/wall" in url} == {304}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "This part is not visible with your role."),
        (404, "No longer exists. What was last known is shown."),
        (410, "No longer exists. What was last known is shown."),
        (500, "This part could not be refreshed."),
    ],
)
def test_a_failed_refresh_says_so_and_keeps_or_clears_as_it_must(visit, served, status, words):
    visit.expected = [FAILED + str(status)]
    page = visit("/")
    served.answers["/fragments/wall"] = (status, {}, "")
    again(page)
    expect(page.locator(".fragment-problem")).to_contain_text(words)
    expect(page.locator(".tile")).to_have_count(0 if status == 403 else 4)
    if status == 500:
        expect(page.locator("#live")).to_have_attribute("data-state", "lagging")
    del served.answers["/fragments/wall"]
    again(page)
    expect(page.locator(".fragment-problem")).to_have_count(0)
    expect(page.locator("#live")).to_have_attribute("data-state", "live")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(visit, served, status):
    visit.expected = [FAILED + str(status)]
    page = visit("/")
    served.answers["/fragments/wall"] = (status, {"Retry-After": "3600"}, "")
    again(page)
    expect(page.locator("#live")).to_have_attribute("data-state", "lagging")
    expect(page.locator(".tile")).to_have_count(4)
    served.asked.clear()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(300)
    assert "/fragments/fleet-answer" in served.asked
    assert "/fragments/wall" not in served.asked


def test_a_signed_out_page_keeps_its_values_and_offers_the_way_back(visit, served):
    visit.expected = [FAILED + "401"]
    page = visit("/?q=order")
    page.context.clear_cookies()
    again(page)
    expect(page.locator("#notices")).to_contain_text("You are signed out. Values stop at")
    expect(page.locator(".tile")).to_have_count(1)
    page.get_by_role("link", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/login\?next=%2F%3Fq%3Dorder"))


def test_markup_of_another_build_is_not_mixed_in(visit, served):
    page = visit("/")
    served.answers["/fragments/wall"] = (
        200,
        {"X-QD-Build": "bother"},
        "<section id='f-wall'>foreign</section>",
    )
    again(page)
    expect(page.locator("#notices")).to_contain_text("Quarterdeck was updated.")
    expect(page.locator(".tile")).to_have_count(4)


# -- hold ---------------------------------------------------------------------------------------------------


def test_rows_do_not_move_under_the_pointer_and_wait_behind_a_chip(visit, served):
    page = visit("/")
    page.locator(".tile").first.hover()
    change(served, cart=HealthStatus.FAILING, brand_new=HealthStatus.FAILING, payment=None)
    again(page)
    chip = page.get_by_role("button", name="1 new, order changed: show")
    expect(chip).to_be_visible()
    assert page.locator(".tile .tile-name").all_inner_texts() == ["order", "payment", "search", "user"]
    expect(page.locator("#svc-demo\\:shop\\:payment")).to_contain_text("gone")
    chip.click()
    expect(page.locator(".tile .tile-name").first).to_have_text("order")
    expect(page.locator(".tile")).to_have_count(5)
    expect(chip).to_have_count(0)


def test_values_of_known_rows_change_while_the_list_is_held(visit, served):
    page = visit("/")
    page.locator(".tile").first.hover()
    fleet = make_fleet(clock.now(), cart=HealthStatus.FAILING)
    slower = tuple(structs.replace(one, rps=7.0) if one.name == "order" else one for one in fleet.nodes)
    show(served.site.store, replace(fleet, nodes=slower))
    served.site.parts.reader.forget()
    again(page)
    expect(page.locator("#svc-demo\\:shop\\:order")).to_contain_text("7 rps")
    expect(page.get_by_role("button", name="Order changed: show")).to_be_visible()


def test_leaving_the_list_applies_what_waited(visit, served):
    page = visit("/")
    page.locator(".tile").first.hover()
    change(served, cart=HealthStatus.FAILING)
    again(page)
    expect(page.locator(".held")).to_be_visible()
    page.mouse.move(2, 2)
    expect(page.locator(".tile")).to_have_count(5)


def test_severity_changes_are_said_politely_and_only_those(visit, served):
    page = visit("/")
    change(served, order=HealthStatus.FAILING)
    again(page)
    expect(page.locator("#announcer")).to_have_text("")
    change(served, payment=HealthStatus.FAILING)
    again(page)
    expect(page.locator("#announcer")).to_have_text("payment is failing")
