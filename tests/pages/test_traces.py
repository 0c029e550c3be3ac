"""Example traces of a service, the waterfall of one, and the ways that lead there."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from app import clock
from app.model.example import Example, ExampleCall, Why
from app.model.fleet import Identity, edge_id
from app.model.span import Trace
from app.store import traces
from tests.support.kept_traces import FAILED_TRACE, make_span, purchase, seed_traces

LIST = "/services/demo/shop/order/traces"
ONE = f"/traces/{FAILED_TRACE}"
EDGE = edge_id("demo:shop:gateway", "demo:shop:order", "http")
HOSTILE = '<svg onload=alert(1)>"\u202e\x07😀' + "x" * 10_000


@pytest.fixture
def kept(site):
    seed_traces(site.store)
    return site


def keep(site, trace):
    call = ExampleCall(trace.spans[0].span_id, Identity(name="a"), Identity(name="b"), Why.SLOW, 1.0, False)
    with site.store.begin() as session:
        traces.put(session, [Example(trace, (call,))])
        traces.place(session, "demo", lambda party: "demo:shop:order")


def rows(page):
    found = [one for one in page.all("tr") if one.attributes.get("id", "").startswith("trace-")]
    return [" ".join(row.text.split()) for row in found]


def test_the_tab_lists_traces_with_why_they_are_kept(kept, get):
    page = get(LIST)
    assert all(row.startswith("gateway: POST /buy") for row in rows(page))
    assert "failed" in rows(page)[0]
    assert "2.1 s" in rows(page)[0]
    assert "one of the slowest" in rows(page)[1]
    assert "usual" in rows(page)[2]
    assert page.one("a", href=f"{ONE}#s-{2:016x}")
    assert page.one("a", href=LIST).attributes["aria-current"] == "page"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("error=true", 1),
        ("min_duration=1s", 2),
        ("min_duration=5s", 0),
        (f"edge={EDGE}", 3),
        ("from=now-15m", 3),
    ],
)
def test_the_list_is_filtered_by_its_address(kept, get, query, count):
    page = get(f"{LIST}?{query}")
    assert len(rows(page)) == count


def test_without_traces_the_tab_says_what_would_be_kept(get):
    text = get(LIST).text("section", id="f-service-traces")
    assert "No trace of order was kept in this time range." in text
    assert "kept for 2 d" in text


@pytest.mark.parametrize("query", ["min_duration=long", "edge=nothing", "from=whenever"])
def test_a_filter_that_cannot_be_read_is_an_error_that_says_so(kept, get, query):
    get(f"{LIST}?{query}", status=400)


def test_an_inferred_node_has_a_tab_too(kept, get):
    database = "demo:~database:postgresql@orders-db:5432"
    assert get(f"/nodes/traces?id={database}").text("section", id="f-service-traces")
    get("/nodes/traces?id=nothing", status=404)


def test_the_page_of_a_trace_says_what_failed_and_where_the_time_went(kept, get):
    page = get(ONE)
    assert page.text("h1") == (
        "Failed in order: POST /charge, 500, Timeout: no answer; 1.9 s of 2.1 s were spent waiting for order → bank"
    )
    assert "Kept because the call gateway → order failed after 2.1 s" in page.text("main")
    lines = [" ".join(one.text.split()) for one in page.all("summary")]
    assert any("clock differs by 340 ms" in line for line in lines)
    assert any(
        line.startswith("order POST /charge 500") and "failed, on the critical path" in line for line in lines
    )
    assert "37 more GET cart" in page.text("main")
    assert "parent not received" in page.text("main")
    assert "no answer in 1.9 s" in page.text("li", id=f"s-{3:016x}")


def test_the_failed_span_is_open_and_has_a_link_at_the_top(kept, get):
    page = get(ONE)
    opened = [one for one in page.all("details") if "open" in one.attributes]
    assert len(opened) == 1
    assert page.all("a", href=f"#s-{3:016x}")


def test_services_of_spans_lead_to_their_pages(kept, get):
    assert get(ONE).all("a", href="/services/demo/shop/order")


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/traces/nothing", 400, "32 hexadecimal digits"),
        (f"/traces/{'ef' * 16}", 404, "not kept"),
    ],
)
def test_a_trace_that_is_not_there_says_why(kept, get, path, status, sentence):
    assert sentence in get(path, status=status).text("main")


def test_an_id_is_found_however_it_is_pasted(kept, site):
    bob = site.client("bob")
    assert bob.get(f"/search?q={FAILED_TRACE.upper()}").headers["Location"] == ONE
    hits = bob.get(f"/fragments/search-results?q={FAILED_TRACE}").get_data(as_text=True)
    assert f'href="{ONE}"' in hits


def test_the_panel_of_a_connection_leads_to_its_traces(kept, site):
    panel = site.client("bob").get(f"/fragments/topology-panel?edge={EDGE}").get_data(as_text=True)
    address = re.search(r'href="(/services/demo/shop/order/traces[^"]*)"', panel)
    assert address is not None
    assert site.client("bob").get(address[1].replace("&amp;", "&")).status_code == 200


def test_hostile_names_and_values_are_text(site, get):
    at = clock.now()
    spans = tuple(
        make_span(
            n,
            n - 1,
            HOSTILE,
            at=at,
            start=0,
            seconds=1,
            name=HOSTILE,
            status="error",
            status_message=HOSTILE,
            attributes={HOSTILE: HOSTILE, "list": (HOSTILE,), "ok": True},
        )
        for n in range(1, 30)
    )
    keep(site, Trace("demo", "ee" * 16, spans))
    page = get(f"/traces/{'ee' * 16}")
    assert all("onload" not in one.attributes for one in page.elements)
    get(LIST)


def test_a_long_trace_shows_the_details_of_one_span_at_a_time(site, get):
    at = clock.now()
    spans = [make_span(1, 0, "order", at=at, start=0, seconds=9)]
    spans += [
        make_span(n, 1, "order", at=at, start=n / 1000, seconds=0.0001, name=f"step {n}", attributes={"n": n})
        for n in range(2, 500)
    ]
    spans = [replace(one, kind=5) if one.span_id != f"{1:016x}" else one for one in spans]
    keep(site, Trace("demo", "aa" * 16, tuple(spans)))
    page = get(f"/traces/{'aa' * 16}")
    asked = f"{400:016x}"
    assert page.all("a", href=f"?span={asked}#s-{asked}")
    assert "step 400" in page.text("li", id=f"s-{asked}")
    opened = get(f"/traces/{'aa' * 16}?span={asked}")
    assert "n 400" in " ".join(opened.text("li", id=f"s-{asked}").split())


def test_the_support_trace_is_the_one_that_is_stored(kept):
    with kept.store.reading() as session:
        stored = traces.get(session, FAILED_TRACE)
    assert stored is not None
    assert len(stored.spans) == len(purchase().spans)
