"""Every part of the topology, service and node pages shows the moment that `at` names, from minutes and rollups."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import pytest

from app import clock
from app.model.fleet import HealthStatus
from app.store import frames
from tests.pages.test_diff import words
from tests.support import shown

MINUTE = timedelta(minutes=1)
ORDER = "demo:shop:order"
DATABASE = "demo:~database:postgresql@orders-db:5432"
EDGE = f"{ORDER}>{DATABASE}>postgresql"
PANEL = "/fragments/topology-panel"
PLACES = (
    "/topology?",
    "/topology?view=table&",
    f"/topology?focus={ORDER}&",
    f"{PANEL}?id={ORDER}&",
    f"{PANEL}?edge={quote(EDGE)}&",
    f"/fragments/node-panel?id={ORDER}&",
    "/services/demo/shop/order?",
    f"/nodes?id={quote(DATABASE)}&",
)


@pytest.fixture
def past(empty_site):
    """A quiet fleet two hours, three and twenty days ago, in minutes, 10 minutes and hours; today order fails."""
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    then = shown.make_fleet(now, order=HealthStatus.HEALTHY)
    lengths = {"minute": MINUTE, "ten": 10 * MINUTE, "hour": 60 * MINUTE}
    starts = {
        "minute": now - timedelta(hours=2),
        "ten": now - timedelta(days=3),
        "hour": now - timedelta(days=20),
    }
    with empty_site.store.begin() as session:
        for name, start in starts.items():
            frames.write(session, replace(shown.make_minute(then, start, bad=False), length=lengths[name]))
    today = shown.make_fleet(clock.now())
    shown.answered(empty_site.store, today.as_of)
    shown.show(empty_site.store, today)
    return {name: start + lengths[name] / 2 for name, start in starts.items()} | {
        "minute": starts["minute"] + MINUTE,
        "gap": now - timedelta(days=1),
    }


def at(past, name):
    return "at=" + past[name].isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("tier", ["minute", "ten", "hour"])
def test_nothing_of_today_is_shown_in_the_past(get_empty, past, place, tier):
    page = get_empty(place + at(past, tier))
    assert "12 %" not in words(page)  # the errors of today
    assert "order is failing" not in words(page)
    if not place.startswith("/fragments"):
        assert "This is the past" in words(page)


@pytest.mark.parametrize(("tier", "rate"), [("minute", "10 rps"), ("ten", "1 rps"), ("hour", "0.17 rps")])
def test_rates_are_those_of_the_stretch_that_is_kept(get_empty, past, tier, rate):
    assert rate in words(get_empty(f"{PANEL}?id={ORDER}&{at(past, tier)}"))


@pytest.mark.parametrize(
    ("tier", "told"), [("minute", None), ("ten", "averages over 10 m"), ("hour", "averages over 1 h")]
)
def test_averages_over_a_longer_stretch_are_told_as_such(get_empty, past, tier, told):
    text = words(get_empty("/topology?" + at(past, tier)))
    assert told in text if told else "averages over" not in text


@pytest.mark.parametrize("place", PLACES)
def test_links_and_panels_stay_in_the_past(get_empty, past, place):
    page = get_empty(place + at(past, "ten"))
    found = re.findall(
        r'(?:href|data-panel|data-panel-to)="(/(?:services/|nodes|fragments/)[^"]*|/topology\?focus[^"]*)"',
        page.html,
    )
    assert found
    assert [one for one in found if "at=" not in one] == []


def test_a_gap_says_that_nothing_is_stored_of_it(get_empty, past):
    for place in PLACES[:2]:
        text = words(get_empty(place + at(past, "gap")))
        assert "Nothing is stored for" in text
        assert "no traces, mesh" not in text
        assert "This is the past" in text
    assert "Nothing is stored for this time" in words(
        get_empty("/services/demo/shop/order?" + at(past, "gap"), status=404)
    )
    get_empty(f"{PANEL}?id={ORDER}&{at(past, 'gap')}", status=404)


def test_the_past_cannot_be_scaled_and_its_pods_are_not_invented(get_empty, past):
    page = get_empty("/services/demo/shop/order?" + at(past, "minute"), as_="alice")
    assert "nothing is scaled in the past" in words(page)
    assert "/actions/new" not in page.html
    assert "those of now" in words(get_empty("/services/demo/shop/order/pods?" + at(past, "minute")))


def test_the_map_of_the_past_is_asked_for_and_answered_at_that_time(empty_site, get_empty, past):
    page = get_empty("/topology?" + at(past, "hour"))
    source = re.search(r'data-src="([^"]*)"', page.html)
    assert source is not None
    assert "at=" in source[1]
    answer = empty_site.client("bob").get(source[1].replace("&amp;", "&")).json
    assert "failing" not in answer["nodes"]["health"]
    assert len(answer["nodes"]["id"]) == 12
    gap = empty_site.client("bob").get("/api/v1/topology?view=map&format=columnar&" + at(past, "gap")).json
    assert gap["nodes"]["id"] == []
