"""The map in the hand: nodes placed, minutes replayed, pictures taken, and nothing that moves by itself."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from msgspec import structs
from playwright.sync_api import Page, Route, expect

from app import clock
from app.model.fleet import HealthStatus
from app.store import positions
from tests.support.shown import make_fleet, make_service, show
from tests.support.small_fleet import put_minutes

ORDER = "demo:shop:order"
SVG = "{http://www.w3.org/2000/svg}"


def drawn(page: Page) -> Page:
    """The page once its map stands."""
    expect(page.locator("#map")).to_have_attribute("data-nodes", re.compile(r"\d+"))
    return page


def node(page: Page, name: str):
    return page.locator(f'.node[data-id$=":{name}"]')


def places(page: Page) -> dict[str, str]:
    """Where every node stands."""
    found: dict[str, str] = page.locator(".node").evaluate_all(
        "(all) => Object.fromEntries(all.map((one) => [one.dataset.id, one.getAttribute('transform')]))"
    )
    return found


def kept(served, view: str = "demo") -> dict[str, tuple[float, float, bool]]:
    with served.site.store.reading() as session:
        return positions.positions(session, view)


def drag(page: Page, name: str, dx: int, dy: int) -> None:
    box = node(page, name).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=5)
    page.mouse.up()


def test_a_dragged_node_stays_there_for_everybody_and_nothing_else_moves(visit, served):
    page = drawn(visit("/topology"))
    before = places(page)
    drag(page, "cart", 90, 60)
    expect(page.get_by_text("cart is pinned here for everybody.")).to_be_visible()
    expect(node(page, "cart").locator(".pin")).to_have_count(1)
    after = places(page)
    assert {one for one in before if before[one] != after[one]} == {"demo:shop:cart"}
    assert kept(served)["demo:shop:cart"][2]
    other = drawn(visit("/topology", as_="bob"))
    assert places(other) == after
    page.get_by_role("button", name="Undo").click()
    expect(node(page, "cart")).to_have_attribute("transform", before["demo:shop:cart"])
    expect(page.get_by_role("button", name="Unpin all")).to_be_hidden()


def test_a_node_is_placed_by_keys_and_put_back_by_escape(visit, served, axe):
    page = drawn(visit("/topology"))
    before = places(page)[ORDER]
    node(page, "order").focus()
    page.keyboard.press("m")
    expect(page.locator("[data-map-moving]")).to_contain_text("Moving order: arrow keys")
    assert axe(page) == []
    page.keyboard.press("ArrowDown")
    expect(node(page, "order")).not_to_have_attribute("transform", before)
    page.keyboard.press("Escape")
    expect(node(page, "order")).to_have_attribute("transform", before)
    page.keyboard.press("m")
    for key in ("ArrowDown", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_text("order is pinned here for everybody.")).to_be_visible()
    assert kept(served)[ORDER][2]
    page.get_by_role("button", name="Unpin all").click()
    expect(page.locator(".pin")).to_have_count(0)
    expect(page.get_by_text("Nothing is pinned now.")).to_be_visible()
    assert not kept(served)[ORDER][2]


def test_moving_by_buttons_alone(visit, served):
    page = drawn(visit("/topology"))
    page.get_by_role("button", name="Move", exact=True).click()
    page.get_by_role("button", name="Move down").click()
    page.get_by_role("button", name="Place here").click()
    expect(page.locator(".pin")).to_have_count(1)


def test_what_could_not_be_saved_goes_back_and_is_said(visit, served):
    page = drawn(visit("/topology"))
    visit.expected.append("Failed to load resource")
    before = places(page)

    def refuse(route: Route) -> None:
        route.fulfill(status=403, body="")

    page.route("**/topology/pin", refuse)
    drag(page, "cart", 90, 60)
    expect(page.get_by_role("alert").first).to_contain_text("Your role may not place nodes; it is as before.")
    assert places(page) == before
    assert not any(pinned for *_, pinned in kept(served).values())


def test_a_viewer_pans_where_a_responder_drags_and_is_told_why(visit):
    page = drawn(visit("/topology", as_="bob"))
    before = places(page)
    drag(page, "cart", 90, 60)
    assert places(page) == before
    node(page, "cart").focus()
    page.keyboard.press("m")
    expect(page.locator(".toast")).to_contain_text("Places are shared by everybody")
    expect(page.get_by_role("button", name=re.compile("^Move ?: "))).to_have_attribute(
        "aria-disabled", "true"
    )


def test_nothing_moves_while_numbers_change_and_new_nodes_only_join(visit, served):
    page = drawn(visit("/topology"))
    before = places(page)
    for tick in range(4):
        fleet = make_fleet(clock.now(), order=HealthStatus.HEALTHY if tick % 2 else HealthStatus.FAILING)
        edges = tuple(structs.replace(edge, rps=40.0 + 37 * tick) for edge in fleet.edges)
        more = tuple(make_service(f"new-{n}", clock.now()) for n in range(tick))
        show(served.site.store, replace(fleet, nodes=(*fleet.nodes, *more), edges=edges))
        state = "healthy" if tick % 2 else "failing"
        expect(node(page, "order")).to_have_attribute("data-health", state)
        expect(page.locator('.node[data-id*=":new-"]')).to_have_count(tick)
        now = places(page)
        assert {one: now[one] for one in before} == before


def test_nothing_moves_while_nodes_go_and_come_and_other_problems_show(visit, served):
    page = drawn(visit("/topology?mode=problems"))
    seen = places(page)
    for bad, gone in (("cart", None), ("order", "cart"), ("cart", None), ("payment", None), ("order", None)):
        states = {"order": HealthStatus.HEALTHY, bad: HealthStatus.FAILING}
        show(served.site.store, make_fleet(clock.now(), **states, **({gone: None} if gone else {})))
        expect(node(page, bad)).to_have_attribute("data-health", "failing")
        expect(page.locator(f'.node[data-id$=":{gone}"]')).to_have_count(0)
        now = places(page)
        assert {one: now[one] for one in now if one in seen} == {one: seen[one] for one in now if one in seen}
        seen |= now


def test_a_click_selects_and_the_address_brings_it_back(visit, axe):
    page = drawn(visit("/topology"))
    node(page, "order").click()
    expect(page.get_by_role("dialog", name="Details")).to_contain_text("order")
    expect(page).to_have_url(re.compile("sel=demo%3Ashop%3Aorder"))
    expect(node(page, "order")).to_have_class(re.compile("picked"))
    again = drawn(visit("/topology?sel=demo:shop:order"))
    expect(again.get_by_role("dialog", name="Details")).to_contain_text("order")
    panel, chosen = (
        again.get_by_role("dialog", name="Details").bounding_box(),
        node(again, "order").bounding_box(),
    )
    assert panel is not None
    assert chosen is not None
    assert chosen["x"] + chosen["width"] < panel["x"]
    again.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("sel="))
    expect(page.locator(".node.picked")).to_have_count(0)


def test_a_picture_needs_nothing_else(visit, tmp_path):
    page = drawn(visit("/topology"))
    for name, kind in (("Picture SVG", "svg"), ("Picture PNG", "png")):
        page.get_by_text("Export").click()
        with page.expect_download() as found:
            page.get_by_role("button", name=name).click()
        assert re.fullmatch(
            rf"topology-demo-\d{{4}}-\d\d-\d\dT\d{{4}}Z\.{kind}", found.value.suggested_filename
        )
        found.value.save_as(tmp_path / kind)
    assert (tmp_path / "png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "svg").read_text()
    for foreign in ("var(", "class=", "href", "currentColor", "light-dark"):
        assert foreign not in text
    root = ElementTree.fromstring(text)
    assert root.find(f"{SVG}title") is not None
    assert "As of" in (root.find(f"{SVG}desc").text or "")
    assert "order" in {one.text for one in root.iter(f"{SVG}text")}


@pytest.fixture
def minutes(served):
    """Ten stored minutes of the shop up to the last full one, and nothing before."""
    return put_minutes(served.site.store, 10)


def test_stored_minutes_are_replayed_and_nothing_moves(visit, served, minutes, axe):
    page = drawn(visit("/topology?from=now-3h&to=now"))
    here = places(page)
    page.get_by_role("button", name="Replay").click()
    slider = page.get_by_role("slider", name="Minute shown")
    expect(slider).to_be_focused()
    expect(page).to_have_url(re.compile("at=20"))
    assert axe(page) == []
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("status").filter(has_text="nothing stored")).to_have_count(0)
    before = page.url
    page.keyboard.press("ArrowLeft")
    expect(page).not_to_have_url(before)
    now = places(page)
    assert {one: now[one] for one in now if one in here} == {one: here[one] for one in now if one in here}
    page.keyboard.press("Home")
    expect(page.get_by_text(re.compile(r"nothing stored for \d\d:\d\d"))).to_be_visible()
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_role("button", name="Back to live").click()
    expect(page).not_to_have_url(re.compile("at="))
    expect(slider).to_be_hidden()
    expect(page.locator("#map")).to_have_attribute("data-nodes", str(len(here)))
    assert places(page) == here


def test_signs_of_a_diff_are_drawn_and_said(visit):
    def marked(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["nodes"]["mark"] = ["worse" if key == ORDER else None for key in body["nodes"]["id"]]
        body["edges"]["mark"] = ["gone" for _ in body["edges"]["id"]]
        route.fulfill(response=answer, json=body)

    page = visit("/login")
    page.route("**/api/v1/topology?**", marked)
    page.goto("/topology")
    drawn(page)
    expect(node(page, "order")).to_have_class(re.compile("m-worse"))
    expect(node(page, "order").locator(".sign")).to_have_text("^")
    expect(node(page, "order")).to_have_attribute("aria-label", re.compile("worse"))
    expect(page.locator(".edge.m-gone")).to_have_count(2)
    expect(page.locator(".edge-labels text").first).to_have_text("− gone")
