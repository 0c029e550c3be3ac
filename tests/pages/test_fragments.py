from __future__ import annotations

import pytest

from app.model.fleet import HealthStatus
from tests.support.html import Page
from tests.support.shown import answered, make_fleet, show, silent
from tests.support.web import Site

NAMES = ("wall", "fleet-answer", "sources-banner", "sources", "search-results")


def ask(site: Site, path: str, as_: str = "bob", **headers: str):
    client = site.client(as_)
    return client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("name", NAMES)
def test_a_fragment_is_sound_and_the_same_bytes_at_the_same_revision(site, name):
    client = site.client("bob")
    first, second = (client.get(f"/fragments/{name}?q=or") for _ in range(2))
    assert first.status_code == 200
    assert first.data == second.data
    page = Page(first.get_data(as_text=True))
    assert page.faults == []
    assert page.elements[0].attributes["id"] == f"f-{name}"
    assert page.elements[0].attributes["data-rev"] == first.headers["ETag"]


def test_an_unchanged_fragment_is_answered_before_anything_is_read(site):
    client = site.client("bob")
    etag = client.get("/fragments/wall").headers["ETag"]

    class Refusing:
        """A reader that only knows what an ETag needs."""

        def __init__(self, reader):
            self.revision, self.freshness, self.topology = reader.revision, reader.freshness, reader.topology

        def spark(self, *_):
            raise AssertionError("a 304 must not read series")

    site.parts.reader = Refusing(site.parts.reader)
    answer = client.get("/fragments/wall", headers={"If-None-Match": etag})
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", etag)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert "Cookie" in answer.headers["Vary"]
    assert answer.headers["X-QD-Build"] == site.parts.build


def test_the_page_includes_exactly_the_fragment(site):
    client = site.client("bob")
    whole = client.get("/?q=cart").get_data(as_text=True)
    for name in ("wall", "fleet-answer"):
        assert client.get(f"/fragments/{name}?q=cart").get_data(as_text=True) in whole


def test_another_role_query_or_preference_is_another_version(site):
    one = ask(site, "/fragments/wall").headers["ETag"]
    assert ask(site, "/fragments/wall", "alice").headers["ETag"] != one
    bob = site.client("bob")
    etag = bob.get("/fragments/wall").headers["ETag"]
    assert bob.get("/fragments/wall?q=x").headers["ETag"] != etag
    bob.set_cookie("qd_prefs", "quiet=1")
    assert bob.get("/fragments/wall").headers["ETag"] != etag


def test_a_changed_fleet_and_a_silent_source_are_new_versions(site):
    client = site.client("bob")
    etag = client.get("/fragments/wall").headers["ETag"]
    fleet = make_fleet(site.parts.started, cart=HealthStatus.FAILING)
    show(site.store, fleet)
    site.parts.reader.forget()
    changed = client.get("/fragments/wall").headers["ETag"]
    silent(site.store, site.parts.started)
    site.parts.reader.forget()
    assert len({etag, changed, client.get("/fragments/wall").headers["ETag"]}) == 3


def test_an_unknown_fragment_and_a_bad_time_say_so_without_repeating_it(site):
    assert ask(site, "/fragments/nothing-of-the-kind").status_code == 404
    answer = ask(site, "/fragments/wall?from=%3Cb%3Elast")
    assert answer.status_code == 400
    assert b"<b>last" not in answer.data


def test_a_signed_out_caller_gets_a_plain_401(site):
    assert site.client().get("/fragments/wall").status_code == 401


def test_fragments_of_a_store_without_anything_are_sound(empty_site):
    answered(empty_site.store, empty_site.parts.started)
    for name in NAMES:
        answer = ask(empty_site, f"/fragments/{name}")
        assert answer.status_code == 200
        assert Page(answer.get_data(as_text=True)).faults == []
