"""The topology map in Chromium: first paint, pan, zoom and refresh at the cap of a drawing, and a fleet beyond it.

CPU is that of the page's main thread (DevTools' Performance metrics in thread ticks), per frame; the plain way
writes all elements anew at each frame (bench/naive/map.py). First paint is wall time from navigation to the
second frame after the map was drawn, with an empty browser cache and a server that was asked before.
Environment: ROUNDS.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import structs
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from app import clock
from app.model.fleet import Health, HealthStatus, Topology, service_id
from bench.harness import load, number, provenance
from bench.naive.map import PAN
from tests.e2e.conftest import CHROMIUM, Served, serving
from tests.support.small_fleet import CLUSTER, make_edge, make_node, make_topology, put_topology

SEED = 7
FRAMES = 60
STEP = 6  # px a frame
PAN_BUDGET, PAINT_BUDGET = 8.0, 1_500.0  # ms
MAP = "/api/v1/topology?view=map&format=columnar"

_SEEN = """
new MutationObserver((_, watch) => {
  if (!document.querySelector("#map[data-nodes]")) return;
  watch.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => { window.qdDrawn = performance.now(); }));
}).observe(document, {subtree: true, childList: true, attributes: true, attributeFilter: ["data-nodes"]});
"""
_COUNT = (
    "() => { window.qdFrames = 0; const on = () => { window.qdFrames++; requestAnimationFrame(on); }; on(); }"
)


def fleet(services: int, calls: int, teams: int, failing: int = 6) -> Topology:
    """Tiers of services that call the next tiers, a few of them failing; numbers differ by `SEED`."""
    rng = random.Random(SEED)
    names = [(f"team-{i % teams}", f"service-{i:04d}") for i in range(services)]
    bad = set(rng.sample(range(services), failing))
    now = clock.now()
    nodes = tuple(
        structs.replace(
            make_node(service_id(CLUSTER, *name), rps=10 ** rng.uniform(0, 3)),
            health=Health(HealthStatus.FAILING if i in bad else HealthStatus.HEALTHY, now),
        )
        for i, name in enumerate(names)
    )
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < calls:
        source = rng.randrange(services - 1)
        pairs.add((source, min(services - 1, source + 1 + int(rng.expovariate(1 / (services / 8))))))
    edges = tuple(
        structs.replace(
            make_edge(nodes[a].id, nodes[b].id, "http"),
            rps=10 ** rng.uniform(0, 3),
            health=Health(HealthStatus.FAILING if b in bad else HealthStatus.HEALTHY, now),
        )
        for a, b in sorted(pairs)
    )
    return make_topology(nodes=nodes, edges=edges)


@contextmanager
def opened(browser: Browser, served: Served) -> Iterator[Page]:
    """The topology page with a cold cache, once its map stands."""
    context = browser.new_context(base_url=served.url, viewport={"width": 1280, "height": 860})
    secret, _ = served.site.sign_in("alice")
    context.add_cookies([{"name": "qd_dev", "value": secret, "url": served.url}])
    context.add_init_script(_SEEN)
    page = context.new_page()
    page.goto("/topology")
    while page.evaluate("window.qdDrawn ?? 0") == 0:
        page.wait_for_timeout(20)
    yield page
    context.close()


class Clock:
    """CPU milliseconds of the page's main thread."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def __call__(self) -> float:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return 1e3 * next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")


def per_frame(page: Page, clock_: Clock, work: Callable[[], object]) -> float:
    """CPU ms of each frame that was drawn while `work` moved the map FRAMES times; idle frames count as none."""
    page.evaluate(_COUNT)
    before, first = clock_(), page.evaluate("window.qdFrames")
    work()
    spent, frames = clock_() - before, page.evaluate("window.qdFrames") - first
    return spent / min(max(frames, 1), FRAMES)


def pan(page: Page) -> None:
    """A drag over the map, one move a frame."""
    box = page.locator("#map > svg").bounding_box()
    assert box is not None
    y = box["y"] + 8
    page.mouse.move(box["x"] + 400, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 400 + FRAMES * STEP, y + FRAMES, steps=FRAMES)
    page.mouse.up()


def zoom(page: Page) -> None:
    """In and out again."""
    for name in ("in", "out") * (FRAMES // 2):
        page.locator(f"[data-map-do={name}]").dispatch_event("click")


def hover(page: Page) -> None:
    """The pointer over one node after the other."""
    for node in page.locator(".node").all()[:FRAMES]:
        node.dispatch_event("pointerover", {"bubbles": True})


def naive_pan(page: Page, view: dict[str, Any]) -> None:
    box = f"-100 -40 {view['layout']['width'] + 200} {view['layout']['height'] + 80}"
    count = page.evaluate(PAN, {"view": {**view, "box": box}, "frames": FRAMES, "step": STEP})
    if count != len(view["nodes"]["id"]) + len(view["edges"]["id"]):
        raise SystemExit("the two ways draw different things")


def first_paint(browser: Browser, served: Served, rounds: int) -> list[float]:
    """Milliseconds from navigation to the drawn map, of cold browsers."""
    found = []
    for _ in range(rounds):
        with opened(browser, served) as page:
            found.append(float(page.evaluate("window.qdDrawn")))
    return found


def verdict(value: float, budget: float) -> str:
    """Whether a budget holds."""
    return f"(budget {budget:g}: {'held' if value < budget else '**over**'})"


def told(title: str, browser: Browser, served: Served, rounds: int) -> None:
    """Print every figure of one fleet."""
    with opened(browser, served) as page:
        layout = float(page.evaluate("window.qdDrawn"))  # the first of all: the layout is computed too
    paints = first_paint(browser, served, rounds)
    with opened(browser, served) as page:
        view = json.loads(page.evaluate(f"fetch('{MAP}').then((answer) => answer.text())"))
        time = Clock(page)
        size = f"{len(view['nodes']['id'])} nodes, {len(view['edges']['id'])} edges drawn"
        pans = [per_frame(page, time, lambda: pan(page)) for _ in range(rounds)]
        plain = [per_frame(page, time, lambda: naive_pan(page, view)) for _ in range(rounds)]
        zooms, hovers = per_frame(page, time, lambda: zoom(page)), per_frame(page, time, lambda: hover(page))
    best = statistics.median(pans)
    print(f"{title}: {size}")
    print(
        f"  first paint     {statistics.median(paints):.0f} ms (worst {max(paints):.0f}, with layout {layout:.0f})"
        f" {verdict(statistics.median(paints), PAINT_BUDGET)}"
    )
    print(
        f"  pan, per frame  naive {statistics.median(plain):.2f} ms  chosen {best:.2f} ms (worst {max(pans):.2f})"
        f"  x{statistics.median(plain) / max(best, 1e-9):.1f} {verdict(best, PAN_BUDGET)}"
    )
    print(f"  zoom {zooms:.2f} ms a frame, hover {hovers:.2f} ms a frame")


def main() -> None:
    rounds = number("ROUNDS", 5)
    print(provenance(SEED, f"{rounds} rounds, {FRAMES} frames each"))
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        for title, topology in (
            ("at the cap, 300/1,000", fleet(300, 1_000, 12)),
            ("beyond it, 1,000/5,000", fleet(1_000, 5_000, 40)),
        ):
            with tempfile.TemporaryDirectory() as place, serving(Path(place)) as served:
                put_topology(served.site.store, topology)
                told(title, browser, served, rounds)
        browser.close()
    print(load())


if __name__ == "__main__":
    main()
