"""The map: by keyboard, by mouse, live, and its twin where there is no map."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from msgspec import structs
from playwright.sync_api import Page, expect

from app import clock
from app.model.fleet import HealthStatus
from tests.support.shown import make_fleet, make_service, show


def drawn(page: Page) -> Page:
    """The page once its map stands."""
    expect(page.locator("#map")).to_have_attribute("data-nodes", re.compile(r"\d+"))
    return page


def node(page: Page, name: str):
    return page.locator(f'.node[data-id$=":{name}"]')


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "path", ["/topology", "/topology?view=table", "/topology?focus=demo:shop:order&q=gate"]
)
def test_the_page_has_no_finding(visit, axe, path, theme):
    page = visit(path, theme=theme)
    if "table" not in path:
        drawn(page)
    expect(page.locator("h1")).to_have_text(re.compile("order"))
    assert axe(page) == []


def test_the_map_is_one_stop_and_is_walked_by_keys(visit, axe):
    page = drawn(visit("/topology"))
    expect(page.locator('.node[tabindex="0"]')).to_have_count(1)
    node(page, "order").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator('.node[data-id*="orders-db"]')).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(node(page, "gateway")).to_be_focused()
    page.keyboard.press("Home")
    expect(node(page, "order")).to_be_focused()
    page.keyboard.press("PageDown")
    expect(page.locator(".node:focus")).not_to_have_attribute("data-id", "demo:shop:order")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Replay")).to_be_focused()
    node(page, "order").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/services/demo/shop/order$"))


def test_the_panel_opens_by_key_and_returns_the_focus(visit, axe):
    page = drawn(visit("/topology"))
    node(page, "order").focus()
    page.keyboard.press("o")
    panel = page.get_by_role("dialog", name="Details")
    expect(panel).to_contain_text("Paths by topology, not by trace.")
    assert axe(page) == []
    panel.get_by_role("button", name="details of the connection with gateway").click()
    expect(panel.get_by_role("heading", name="gateway → order")).to_be_visible()
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(node(page, "order")).to_be_focused()


def test_a_line_is_labelled_under_the_pointer_and_opens_its_panel(visit):
    page = drawn(visit("/topology"))
    box = page.locator('.edge[data-id*="postgresql"] .line').bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    expect(page.locator(".edge-labels .more")).to_have_text("40 rps, err 10 %, p95 200 ms")
    page.mouse.click(*middle)
    expect(page.get_by_role("dialog", name="Details")).to_contain_text("Seen by")
    page.keyboard.press("Escape")
    node(page, "order").hover()
    expect(page.locator(".edge-labels .more")).to_have_count(2)
    expect(node(page, "cart")).not_to_have_class(re.compile("near"))


def test_a_namespace_is_folded_and_unfolded_where_one_stands(visit):
    page = drawn(visit("/topology"))
    node(page, "cart").focus()
    page.keyboard.press("c")
    expect(page.locator(".node-group")).to_be_focused()
    expect(page.locator("#map-cut")).to_contain_text("1 group is folded")
    expect(page).to_have_url(re.compile("folded=shop"))
    page.keyboard.press("c")
    expect(page.locator(".node-group")).to_have_count(0)
    expect(page.locator(".node:focus")).to_have_count(1)
    expect(page).to_have_url(re.compile("opened=shop"))
    page.reload()
    drawn(page)
    expect(page.locator(".node-group")).to_have_count(0)


def test_zoom_and_places_survive_a_refresh(visit, served):
    page = drawn(visit("/topology"))
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Move left").click()
    box = page.locator("#map .scene").get_attribute("transform")
    place = node(page, "order").get_attribute("transform")
    fleet = make_fleet(clock.now(), order=HealthStatus.HEALTHY)
    known = structs.replace(make_service("brand-new", clock.now()), workload=None)
    show(served.site.store, replace(fleet, nodes=(*fleet.nodes, known)))
    expect(node(page, "order")).to_have_attribute("data-health", "healthy")
    expect(node(page, "brand-new")).to_have_count(1)
    assert page.locator("#map .scene").get_attribute("transform") == box
    assert node(page, "order").get_attribute("transform") == place
    page.get_by_role("button", name="Fit").click()
    assert page.locator("#map .scene").get_attribute("transform") != box


def test_found_nodes_stand_out_and_hidden_ones_go(visit):
    page = drawn(visit("/topology"))
    page.get_by_placeholder("Find").fill("cart")
    expect(node(page, "cart")).to_have_class(re.compile("found"))
    expect(page).to_have_url(re.compile("find=cart"))
    page.get_by_placeholder("Hide").fill("payment")
    expect(node(page, "payment")).to_have_count(0)
    expect(node(page, "cart")).to_have_class(re.compile("found"))
    page.get_by_placeholder("Find").fill("")
    expect(page.locator(".node.found")).to_have_count(0)


def test_errors_only_is_one_thing_by_key_and_by_link(visit):
    page = drawn(visit("/topology"))
    node(page, "order").focus()
    page.keyboard.press("e")
    expect(page).to_have_url(re.compile("errors=1"))
    link = drawn(page).get_by_role("link", name="Errors only")
    expect(link).to_have_attribute("aria-current", "true")
    expect(node(page, "order")).to_have_count(1)
    expect(node(page, "cart")).to_have_count(0)
    link.click()
    expect(page).not_to_have_url(re.compile("errors=1"))


def test_tidy_up_is_a_form_and_keeps_what_is_looked_at(visit):
    page = drawn(visit("/topology?group=namespace"))
    page.get_by_placeholder("Find").fill("ord")
    expect(page).to_have_url(re.compile("find=ord"))
    with page.expect_navigation():
        page.get_by_role("button", name="Tidy up").click()
    expect(page).to_have_url(re.compile("group=namespace.*find=ord|find=ord.*group=namespace"))
    viewer = visit("/topology", as_="bob")
    expect(viewer.get_by_role("button", name=re.compile("^Tidy up ?:"))).to_have_attribute(
        "aria-disabled", "true"
    )


def test_a_silent_source_is_said_and_no_key_changes_anything(visit, served):
    page = drawn(visit("/topology"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method) if request.method != "GET" else None)
    node(page, "order").focus()
    for key in "abcdefghijklmnpqrstuvwxyz0123456789+-":
        if key not in "dfgt":  # d and f leave the page, g and t begin a sequence
            page.keyboard.press(key)
    assert asked == []


def test_without_scripts_the_table_is_the_page(visit):
    page = visit("/topology?q=order", scripts=False)
    expect(page.locator(".map-frame")).to_be_hidden()
    expect(page.get_by_role("row", name=re.compile("gateway order"))).to_be_visible()
    page.get_by_label("hops").select_option("2")
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(re.compile("hops=2"))


@pytest.mark.parametrize("size", [(390, 844), (320, 700)])
def test_a_phone_gets_the_table_and_never_scrolls_sideways(visit, axe, size):
    page = visit("/topology", size=size)
    expect(page.locator(".map-frame")).to_be_hidden()
    expect(page.locator(".twin")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert axe(page) == []
