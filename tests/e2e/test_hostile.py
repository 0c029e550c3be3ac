"""A fleet whose every text attacks the page: it stays text, nothing runs, nothing overflows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs
from playwright.sync_api import expect

from app import clock
from app.model.fleet import HealthStatus
from tests.support.acting_site import know, make_inventory, make_pod, make_revision, make_workload
from tests.support.shown import make_edge, make_fleet, renamed, show

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</script><script>alert(1)</script>",
    "{{7*7}}",
    "javascript:alert(1)",
    "\u202egnol\u0007\u200b",
    "😀" * 2_500,
    "x" * 10_000,
]
ID = "demo:shop:0<img src=x onerror=alert(1)>"


@pytest.fixture
def hostile(served):
    fleet = renamed(make_fleet(clock.now()), HOSTILE)
    ids = [node.id for node in fleet.nodes]
    edges = tuple(
        make_edge(ids[0], one, text, clock.now(), HealthStatus.FAILING)
        for one, text in zip(ids[1:], HOSTILE, strict=False)
    )
    first = structs.replace(fleet.nodes[0], id=ID, workload=("Deployment", "w"))
    edges = tuple(structs.replace(edge, source=ID) for edge in edges)
    show(served.site.store, replace(fleet, nodes=(first, *fleet.nodes[1:]), edges=edges))
    texts = [
        {"name": text, "node": text, "reason": text, "message": text, "images": (text,), "ready": False}
        for text in HOSTILE
    ]
    pods = tuple(replace(make_pod(place, "w"), **text) for place, text in enumerate(texts))
    revisions = (make_revision(2, "w", change_cause=HOSTILE[0]),)
    know(served.site.store, make_inventory(workloads=(make_workload("w"),), pods=pods, revisions=revisions))
    return served


PATHS = ["/topology", "/topology?view=table", "/services/demo/shop/0%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"]


@pytest.mark.parametrize("size", [(1280, 900), (320, 700)])
@pytest.mark.parametrize("path", PATHS)
def test_hostile_names_stay_text(visit, hostile, axe, path, size):
    page = visit(path, size=size)
    ran: list[str] = []
    page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    expect(page.get_by_text("<img src=x onerror=alert(1)>").first).to_be_attached()
    if path == "/topology" and size[0] > 640:
        expect(page.locator(".node")).to_have_count(8)
    assert page.locator("main img, main script:not([type])").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert axe(page) == []
    assert ran == []


def test_the_panel_of_a_hostile_node_stays_text(visit, hostile):
    page = visit("/topology")
    page.locator(f'.node[data-id="{ID}"]').focus()
    page.keyboard.press("o")
    panel = page.get_by_role("dialog", name="Details")
    expect(panel).to_contain_text("<img src=x onerror=alert(1)>")
    assert panel.locator("img").count() == 0
    assert panel.evaluate("(element) => element.scrollWidth <= element.clientWidth")
