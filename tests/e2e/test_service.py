"""The page of a service: charts with gaps that keep their zoom, tables, and what a phone gets instead."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

ORDER = "/services/demo/shop/order"
VENDOR = Path(__file__).parents[2] / "static/vendor"
PATHS = [
    ORDER,
    f"{ORDER}/pods",
    "/nodes?id=demo:~database:postgresql@orders-db:5432",
    "/series?id=demo:shop:order&metric=heatmap",
]
RANGE = "(id) => document.getElementById(id)._fullLayout.xaxis.range.map(String)"


def drawn(page: Page, *kinds: str) -> Page:
    """The page once these charts stand."""
    for kind in kinds:
        area = page.locator(f"#chart-{kind}")
        area.scroll_into_view_if_needed()
        expect(area).to_have_attribute("data-drawn", "")
    return page


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_the_page_has_no_finding(visit, axe, path, theme):
    page = visit(path, theme=theme)
    if "series" not in path and "pods" not in path:
        drawn(page, "rate", "latency_heatmap")
    expect(page.locator("h1")).to_have_count(1)
    assert axe(page) == []


@pytest.mark.parametrize("size", [(390, 844), (320, 700)])
def test_a_phone_loads_no_chart_until_one_is_opened(visit, axe, size):
    page = visit(ORDER, size=size)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.mouse.wheel(0, 3000)
    expect(page.locator("#chart-rate")).to_be_hidden()
    expect(page.get_by_role("img", name=re.compile("^Rate, last hour"))).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert axe(page) == []
    assert not [url for url in asked if "plotly-cartesian" in url]
    assert page.evaluate("typeof Plotly") == "undefined"
    page.get_by_role("button", name="Show chart of Errors").click()
    expect(page.locator("#chart-errors")).to_have_attribute("data-drawn", "")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_a_gap_is_a_gap_and_a_zoom_survives_a_refresh(visit, served):
    page = drawn(visit(ORDER), "rate")
    values = page.evaluate("[...document.getElementById('chart-rate').data[0].y]")
    assert 2 <= values.count(None) <= 5
    assert page.locator("#chart-rate .scatterlayer path.js-line").count() == 2
    page.evaluate(
        """() => { const chart = document.getElementById('chart-rate');
        const [a, b] = chart._fullLayout.xaxis.range.map((x) => Date.parse(x + 'Z'));
        return Plotly.relayout(chart, {'xaxis.range[0]': a + (b - a) / 2, 'xaxis.range[1]': b}); }"""
    )
    zoomed = page.evaluate(RANGE, "chart-rate")
    link = page.locator(".chart-rate [data-chart-range]")
    expect(link).to_be_visible()
    with page.expect_response(re.compile("metric=rate")):
        page.evaluate("document.dispatchEvent(new CustomEvent('qd:revalidate'))")
    page.wait_for_timeout(300)
    assert page.evaluate(RANGE, "chart-rate") == zoomed
    link.click()
    expect(page).to_have_url(re.compile(r"from=20\d\d-.*to=20\d\d-"))
    expect(page.get_by_text("This is the past")).to_be_visible()


def test_all_kinds_of_figure_draw_under_the_policy(visit):
    page = drawn(visit(ORDER), "rate", "errors", "latency", "latency_heatmap")
    shape = "({x, y, z}) => [x.length, y.length, z.length, z[0].length]"
    heat = page.evaluate(f"({shape})(document.getElementById('chart-latency_heatmap').data[0])")
    assert heat[0] == heat[3] + 1
    assert heat[1] == heat[2] + 1
    labels = page.locator("#chart-latency .annotation-text").all_text_contents()
    assert labels == ["p50", "p95", "p99"]
    boxes = [one.bounding_box() for one in page.locator("#chart-latency .annotation-text").all()]
    tops = sorted(box["y"] for box in boxes if box)
    assert all(lower - upper >= 8 for upper, lower in pairwise(tops))
    page.locator("#chart-rate .nsewdrag").hover()
    expect(page.locator("#chart-errors .chart-cursor")).to_have_count(1)
    made = "Plotly.toImage(document.getElementById('chart-latency_heatmap'), {format: 'png', width: 300, height: 190})"
    url = page.evaluate(made)
    assert url.startswith("data:image/png")


def test_the_stylesheet_of_plotly_is_what_the_bundle_would_inject(browser):
    page = browser.new_page()
    page.set_content("<div id=chart></div>")
    page.add_script_tag(path=VENDOR / "plotly-cartesian.js")
    rules = """[...document.styleSheets].flatMap((sheet) => [...sheet.cssRules].map((rule) => rule.cssText)).sort()"""
    injected = page.evaluate(rules)
    page.close()
    other = browser.new_page()
    other.set_content("<p>")
    other.add_style_tag(path=VENDOR / "plotly.css")
    assert other.evaluate(rules) == injected
    assert len(injected) == 66
    other.close()


def test_the_numbers_of_a_chart_open_beside_it_and_close_again(visit, axe):
    page = visit(ORDER)
    page.get_by_role("link", name="Table of Latency", exact=True).click()
    dialog = page.get_by_role("dialog", name="Latency of order")
    expect(dialog.get_by_role("columnheader", name="p95")).to_be_visible()
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Table of Latency", exact=True)).to_be_focused()


def test_without_scripts_caption_sparkline_and_table_stand_for_the_chart(visit):
    page = visit(ORDER, scripts=False)
    expect(page.get_by_role("img", name=re.compile("^Errors, last hour"))).to_be_visible()
    expect(page.locator("#chart-errors")).to_be_hidden()
    page.get_by_role("link", name="Table of Errors").click()
    expect(page.locator("h1")).to_have_text("Errors of order")
