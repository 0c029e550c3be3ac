from __future__ import annotations

from app import clock
from tests.support.shown import make_fleet, renamed, show


def shown(page) -> list[str]:
    return [one.text for one in page.all("span", class_="hit-label")]


def test_services_nodes_and_pages_are_found_by_all_words(get):
    assert shown(get("/search?q=ord")) == ["order", "postgresql@orders-db:5432"]
    assert shown(get("/search?q=shop+cart")) == ["cart"]
    assert shown(get("/search?q=database")) == ["postgresql@orders-db:5432"]
    assert "Preferences" in shown(get("/search?q=pref"))


def test_names_that_begin_with_the_word_come_before_those_that_hold_it(get):
    assert shown(get("/search?q=ca"))[0] == "cart"


def test_without_a_word_what_is_unhealthy_comes_first_then_the_pages(get):
    found = shown(get("/search"))
    assert found[:3] == ["order", "payment", "search"]
    assert "Fleet" in found


def test_nothing_found_says_what_to_try(get):
    page = get("/search?q=%3Cb%3Enothing")
    assert "Nothing is called “<b>nothing”." in page.text("section", id="f-search-results")


def test_a_viewer_is_offered_no_action(get):
    assert shown(get("/search?q=scale+order", as_="bob")) == []


def test_many_hits_are_cut_and_counted(site, get):
    base = make_fleet(clock.now())
    many = type(base)(
        "demo", clock.now(), base.window, tuple(renamed(base, [f"svc {n}" for n in range(11)]).nodes) * 5
    )
    show(site.store, many)
    site.parts.reader.forget()
    page = get("/search?q=svc")
    assert len(shown(page)) == 40
    assert "15 more; add a word." in page.text("section", id="f-search-results")
