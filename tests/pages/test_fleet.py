from __future__ import annotations

from datetime import timedelta

import pytest

from app import clock
from app.model.fleet import HealthStatus
from app.pages import fleet
from tests.support.html import Page
from tests.support.shown import NAMES, make_fleet, make_service, renamed, seed, show, silent

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</script><script>alert(1)</script>",
    "{{7*7}}",
    "javascript:alert(1)",
    "../../etc/passwd?x=1#y",
    "\u202egnol",
    "x" * 10_000,
    "a b\tc\nd\x00e",
]


def test_the_first_line_counts_worst_first(get):
    assert get("/").text("h1") == "1 failing, 1 degraded, 1 unknown, 1 in maintenance, 1 idle, 6 healthy."


def test_the_worst_service_is_named_with_its_reason(get):
    text = " ".join(part.text for part in get("/").all("p", class_="answer-more"))
    assert "order is failing: errors 12 %, usually 0.1 %" in " ".join(text.split())


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        ([HealthStatus.HEALTHY] * 3, "All 3 services healthy."),
        ([HealthStatus.HEALTHY, HealthStatus.IDLE], "All 2 services healthy, 1 of them idle."),
        ([HealthStatus.HEALTHY], "All 1 service healthy."),
        ([HealthStatus.UNKNOWN], "1 unknown."),
        ([HealthStatus.MAINTENANCE, HealthStatus.HEALTHY], "1 in maintenance, 1 healthy."),
        ([], "No services yet."),
    ],
)
def test_the_answer_never_calls_unknown_healthy(states, sentence):
    nodes = [make_service(f"s{place}", clock.now(), status=state) for place, state in enumerate(states)]
    assert fleet.answer(nodes) == sentence


def test_unhealthy_services_are_tiles_worst_first_and_healthy_ones_are_lines(get):
    page = get("/")
    tiles = [one.attributes["data-name"] for one in page.all("li", class_="tile")]
    chips = [one.attributes["data-name"] for one in page.all("li", class_="quiet-one")]
    assert tiles == ["order", "payment", "search", "user"]
    assert sorted(tiles + chips) == sorted(NAMES)
    assert chips[0] == "notification"


def test_a_tile_says_its_state_in_words_its_numbers_and_their_age(get):
    tile = next(one for one in get("/").all("li", class_="tile") if one.attributes["data-name"] == "order")
    words = " ".join(tile.text.split())
    for piece in ("failing", "errors 12 %", "p95 120 ms", "rate 193 rps", "3/4 pods", "v43"):
        assert piece in words


def test_unknown_numbers_are_no_data_and_old_ones_say_that_nothing_newer_came(get):
    tile = next(one for one in get("/").all("li", class_="tile") if one.attributes["data-name"] == "search")
    words = " ".join(tile.text.split())
    assert words.count("no data") >= 3
    assert "no newer data" in words
    assert "tile-stale" in tile.attributes["class"]


def test_the_telling_sparkline_has_words_and_the_tone_of_its_reason(get):
    drawn = get("/").all("svg", class_="spark-crit")
    assert len(drawn) == 1
    label = drawn[0].attributes["aria-label"]
    assert label.startswith("errors, last hour: lowest 0 %, highest 12 %, now 12 %, at ")


def test_the_filter_narrows_by_name_namespace_or_team(get):
    page = get("/?q=PAY")
    assert [one.attributes["data-name"] for one in page.all("li") if "data-name" in one.attributes] == [
        "payment"
    ]
    assert len([one for one in get("/?q=team-a").all("li") if "data-name" in one.attributes]) == 5
    assert "No service matches this filter." in get("/?q=nothing-like-it").text("section", id="f-wall")


def test_a_count_filters_by_its_state_and_a_foreign_state_is_refused(get):
    page = get("/?status=degraded")
    assert [one.attributes["data-name"] for one in page.all("li") if "data-name" in one.attributes] == [
        "payment"
    ]
    assert get("/?status=sparkling", status=400).text("h1") == "Not usable"
    get("/?group=colour", status=400)


def test_groups_have_headings_with_their_unknown_members(get):
    page = get("/?group=team")
    heads = [" ".join(one.text.split()) for one in page.all("h3", class_="wall-name")]
    assert heads == ["team-a 1 unknown", "team-b"]


def test_hiding_healthy_services_is_remembered_and_says_what_it_hides(site):
    client = site.client("bob")
    first = client.get("/?healthy=hide&healthy=show")
    assert "quiet=1" in first.headers["Set-Cookie"]
    page = Page(client.get("/").get_data(as_text=True))
    assert not page.all("li", class_="quiet-one")
    assert "7 healthy services are hidden." in page.text("section", id="f-wall")
    assert "checked" in page.one("input", type="checkbox", name="healthy").attributes
    client.get("/?healthy=show")
    assert Page(client.get("/").get_data(as_text=True)).all("li", class_="quiet-one")


def test_an_empty_fleet_without_sources_shows_the_yaml_that_adds_one(get_empty):
    page = get_empty("/")
    assert page.text("h1") == "No services yet."
    words = page.text("section", id="f-wall")
    assert "No source is configured" in words
    assert "clusters: - name: prod prometheus: url: http://prometheus:9090" in words


def test_an_empty_fleet_with_a_silent_source_says_which(empty_site, get_empty):
    silent(empty_site.store, clock.now())
    assert "demo/prometheus does not answer" in get_empty("/").text("section", id="f-wall")


def test_a_silent_source_raises_the_banner_and_old_values_are_dimmed(empty_site, get_empty):
    then = clock.now() - timedelta(minutes=4)
    seed(empty_site.store, then)
    silent(empty_site.store, then + timedelta(seconds=15))
    page = get_empty("/")
    banner = page.text("section", id="f-sources-banner")
    assert "demo/prometheus: last data" in banner
    assert "Its values are from" in banner
    assert len(page.all("li", class_="tile-stale")) == len(NAMES)
    assert page.text("h1").startswith("Last known: 1 failing")


def test_a_picture_that_is_too_old_is_never_called_healthy_without_saying_so(empty_site, get_empty):
    then = clock.now() - timedelta(minutes=4)
    quiet = dict.fromkeys(("order", "payment", "search", "user", "notification"), HealthStatus.HEALTHY)
    show(empty_site.store, make_fleet(then, **quiet))
    assert get_empty("/").text("h1") == "Last known: all 11 services healthy."


def test_a_source_that_merely_stopped_talking_is_late_too(empty_site, get_empty):
    seed(empty_site.store, clock.now() - timedelta(minutes=4))
    assert ": last data" in get_empty("/").text("section", id="f-sources-banner")


def test_a_fresh_fleet_has_no_banner_and_nothing_dimmed_but_what_is_old(get):
    page = get("/")
    assert page.text("section", id="f-sources-banner") == ""
    assert [one.attributes["data-name"] for one in page.all("li", class_="tile-stale")] == ["search"]


def test_the_past_is_frozen_and_offers_the_way_back(get):
    moment = (clock.now() - timedelta(minutes=10)).isoformat(timespec="seconds").replace("+00:00", "Z")
    page = get(f"/?at={moment}")
    assert "data-frozen" in page.one("body").attributes
    assert "This is the past" in page.text("div", class_="banner-info")
    assert page.one("span", id="live").attributes["data-state"] == "frozen"


def test_hostile_names_are_shown_as_text_cut_and_encoded(site, get):
    show(site.store, renamed(make_fleet(clock.now()), HOSTILE))
    site.parts.reader.forget()
    page = get("/")
    assert not [
        one
        for one in page.elements
        if one.tag in ("img", "script")
        and "src" not in one.attributes
        and one.attributes.get("type") != "importmap"
    ]
    names = page.all("a", class_="tile-name")
    assert any(one.text == "<img src=x onerror=alert(1)>" for one in names)
    assert all(len(one.text) <= 60 for one in names)
    assert all(one.attributes["href"].startswith("/services/demo/shop/") for one in names)
    assert all("/" not in one.attributes["href"].removeprefix("/services/demo/shop/") for one in names)
    assert "49" not in " ".join(one.text for one in names)


def test_no_more_than_two_hundred_rows_are_drawn(site, get):
    base = make_fleet(clock.now())
    now, healthy = clock.now(), HealthStatus.HEALTHY
    many = tuple(make_service(f"svc-{place}", now, status=healthy) for place in range(450))
    show(site.store, type(base)("demo", clock.now(), base.window, many))
    site.parts.reader.forget()
    page = get("/")
    assert len([one for one in page.all("li") if "data-row" in one.attributes]) == 200
    assert "250 more services are not drawn here." in page.text("section", id="f-wall")


def test_the_drawer_tells_callers_callees_and_evidence(get):
    page = get("/fragments/node-panel?id=demo:shop:order")
    words = page.text("section", id="f-node-panel")
    for piece in (
        "order",
        "failing",
        "Called by gateway",
        "Calls postgresql@orders-db:5432",
        "Seen by server-metrics",
    ):
        assert piece in words
    get("/fragments/node-panel?id=demo:shop:nobody", status=404)
