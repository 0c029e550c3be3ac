"""The diff page: absolute windows, the answer, the ranked list, both values, filters."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.support.windows import remember

PAGE = "/topology/diff"


@pytest.fixture
def windows(empty_site):
    """Twenty minutes of the fleet; in the last ten order fails and payment is slow, on a version of its own."""
    return remember(empty_site.store)


def words(page):
    """All text of a page or part, in one line."""
    return " ".join(" ".join(re.sub(r"<[^>]*>", " ", html.unescape(page.html)).split()).split())


def test_relative_windows_become_times_and_what_was_asked_is_kept(site):
    answer = site.client("bob").get(f"{PAGE}?a=b-1d&b=now-15m/now&show=new&show=gone")
    assert answer.status_code == 302
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert "now" not in query["a"][0] + query["b"][0]
    assert (query["ra"], query["rb"], query["show"]) == (["b-1d"], ["now-15m/now"], ["new", "gone"])
    assert site.client("bob").get(answer.headers["Location"]).status_code == 200


def test_without_windows_the_last_quarter_of_an_hour_is_compared_with_the_one_before(site):
    query = parse_qs(urlsplit(site.client("bob").get(PAGE).headers["Location"]).query)
    (a, b), rb = (query["a"][0].split("/"), query["b"][0].split("/")), query["rb"]
    assert a[1] == b[0]
    assert rb == ["now-15m/now"]


def test_the_list_names_what_got_worse_first_with_its_values_and_version(get_empty, windows):
    page = get_empty(f"{PAGE}?{urlencode(windows)}")
    text = words(page)
    assert "payment v42 → v43" in text
    rows = text[text.index("by impact") :]
    assert "errors 0 % → 12 %" in rows
    assert "p95 136 ms → 1.9 s" in rows or "p95" in rows
    assert rows.index("worse") < rows.index("Not shown")


def test_a_rollout_is_offered_once_and_its_a_ends_where_the_new_version_begins(get_empty, windows):
    page = get_empty(f"{PAGE}?{urlencode(windows)}")
    links = re.findall(r'href="([^"]*)" title="from v42 to v43"', page.html)
    assert len(links) == 1
    query = parse_qs(urlsplit(html.unescape(links[0])).query)
    middle = windows["b"].partition("/")[0]
    assert query["a"][0].endswith(f"/{middle}")
    assert query["b"][0].startswith(f"{middle}/")


def test_the_panel_holds_both_values(get_empty, windows):
    row = get_empty(f"/fragments/diff-panel?{urlencode(windows | {'id': 'demo:shop:payment'})}")
    assert "v42" in words(row)
    assert "v43" in words(row)
    assert "traces" in words(row)


def test_without_scripts_a_row_is_shown_on_the_page_itself(get_empty, windows):
    page = get_empty(f"{PAGE}?{urlencode(windows | {'row': 'demo:shop:payment'})}")
    assert "On the map now" in words(page)


def test_the_classes_that_are_shown_are_those_asked_for(get_empty, windows):
    page = get_empty(f"{PAGE}?{urlencode(windows)}&show=same")
    assert "not shown" in words(page).lower()
    assert "as before" in words(page)


def test_swapping_the_windows_swaps_worse_and_better(get_empty, windows):
    page = get_empty(f"{PAGE}?{urlencode({'a': windows['b'], 'b': windows['a']})}&show=better")
    assert "errors 12 % → 0 %" in words(page)


def test_a_window_of_which_nothing_is_kept_is_said(get_empty, windows):
    query = urlencode({"a": "2020-01-01T10:00Z/2020-01-01T10:15Z", "b": windows["b"]})
    assert "Nothing is kept of one of the windows" in words(get_empty(f"{PAGE}?{query}"))


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("a=incident:142", "not known yet"),
        ("a=before-deploy:7&b=now-5m/now", "not known yet"),
        ("a=b-1d&b=a-1d", "both relative"),
        ("b=yesterday", "RFC 3339"),
        ("b=now-15m/now&show=worst", "none of"),
        ("b=now-15m/now&hops=9", "hops is one of"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(get, query, told):
    assert told in words(get(f"{PAGE}?{query}", status=400))
