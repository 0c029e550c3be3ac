"""Sockets: who may connect, what is told to whom, and when it ends."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from sqlalchemy import text

from app import live
from app.errors import StoreError
from app.store import sessions, topics, users
from app.web.access import Kind, Permission, Principal
from tests.support.sockets import NotConnected, Tab, served
from tests.support.web import make_site

BEGIN_POLLING = live.Live._begin_polling


@pytest.fixture(autouse=True)
def no_background(monkeypatch):
    """The rounds are driven by the test, not by the clock."""
    monkeypatch.setattr(live.Live, "_begin_polling", lambda self: None)


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path)


@pytest.fixture
def address(site):
    with served(site) as found:
        yield found


@pytest.fixture
def tab(site, address):
    secret, _ = site.sign_in("bob")
    opened = Tab(address, secret)
    assert opened.next()[0] == "hello"
    yield opened
    opened.close()


def change(site, *names):
    with site.store.begin() as session:
        topics.bump(session, *names)


def test_a_signed_in_tab_is_greeted_with_build_and_clock(site, address):
    tab = Tab(address, site.sign_in("bob")[0])
    event, body = tab.next()
    assert (event, body["build"]) == ("hello", site.parts.build)
    assert body["now"].endswith("Z")
    tab.close()


@pytest.mark.parametrize("secret", [None, "", "forged"])
def test_without_a_session_there_is_no_socket(address, secret):
    with pytest.raises(NotConnected):
        Tab(address, secret)


def test_a_token_opens_no_socket(site, address):
    with pytest.raises(NotConnected):
        Tab(address, None, **site.token("admin"))


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://127.0.0.1:1"])
def test_a_foreign_page_opens_no_socket_even_with_the_cookie(site, address, origin):
    with pytest.raises(NotConnected):
        Tab(address, site.sign_in("bob")[0], origin=origin)


def test_anonymous_viewers_hear_what_they_may_read(tmp_path):
    site = make_site(tmp_path, anonymous="viewer")
    with served(site) as address:
        tab = Tab(address, None)
        assert tab.next()[0] == "hello"
        assert tab.watch("fleet") == []
        tab.close()


def test_a_change_is_told_once_to_who_watches_it(site, tab):
    tab.watch("fleet", "service:demo:shop:order")
    change(site, "fleet", "actions", "service:demo:shop:order")
    assert site.parts.live.tell_changes() == 1
    event, body = tab.next()
    assert (event, body["topics"]) == ("stale", ["fleet", "service:demo:shop:order"])
    assert site.parts.live.tell_changes() == 0


def test_many_changes_between_two_rounds_are_one_event(site, tab):
    tab.watch("fleet")
    for _ in range(20):
        change(site, "fleet")
    assert site.parts.live.tell_changes() == 1
    tab.next()
    change(site, "fleet")
    site.parts.live.tell_changes()
    assert tab.next()[1]["topics"] == ["fleet"]


def test_what_nobody_watches_is_told_to_nobody(site, tab):
    tab.watch("fleet")
    change(site, "actions")
    assert site.parts.live.tell_changes() == 0


def test_watching_again_replaces_what_was_watched(site, tab):
    tab.watch("fleet")
    tab.watch("actions")
    change(site, "fleet")
    assert site.parts.live.tell_changes() == 0


def test_topics_that_do_not_exist_are_denied(tab):
    assert tab.watch("fleet", "secrets", "service:", "fleet:x", "user:ada") == [
        "secrets",
        "service:",
        "fleet:x",
        "user:ada",
    ]


@pytest.mark.parametrize(
    "body", [None, [], "fleet", {"topics": "fleet"}, {"topics": [1, None, {}]}, {"x": 1}]
)
def test_nonsense_from_a_client_watches_nothing_and_harms_nothing(site, tab, body):
    assert tab.call("watch", body) == {"denied": []}
    change(site, "fleet")
    assert site.parts.live.tell_changes() == 0
    assert tab.watch("fleet") == []


def test_events_that_are_not_declared_do_nothing(site, tab):
    tab.send("execute", {"plan_hash": "x"})
    assert tab.watch("fleet") == []


def test_more_topics_than_a_page_can_have_are_cut(site, tab):
    tab.watch(*(f"service:{i}" for i in range(1000)))
    (watcher,) = site.parts.live._watchers.values()
    assert len(watcher.topics) == 200


def test_before_a_browser_hears_of_a_change_the_old_answer_is_forgotten(site, tab):
    tab.watch("fleet")
    before = site.parts.reader.revision("fleet")
    change(site, "fleet")
    assert site.parts.reader.revision("fleet") == before  # the clock stands still: still believed
    site.parts.live.tell_changes()
    assert site.parts.reader.revision("fleet") > before


def test_signing_out_ends_the_socket_at_once(site, address):
    client = site.client("bob")
    tab = Tab(address, client.get_cookie("qd_dev").value)
    tab.next()
    client.post("/logout")
    assert tab.next() == ("bye", {"why": "signed-out"})
    assert tab.ended()


def test_signing_out_elsewhere_ends_it_at_the_next_look(site, tab):
    with site.store.begin() as session:
        sessions.end_all(session, "bob")
    assert site.parts.live.recheck() == 1
    assert tab.next() == ("bye", {"why": "signed-out"})
    assert tab.ended()


def test_a_changed_role_ends_it_too(site, tab):
    with site.store.begin() as session:
        users.set_role(session, "bob", "admin")
    assert site.parts.live.recheck() == 1
    assert tab.next() == ("bye", {"why": "role-changed"})


def test_who_is_still_welcome_stays(site, tab):
    assert site.parts.live.recheck() == 0
    assert site.parts.live.connected() == 1


def test_a_shutdown_says_good_bye(site, tab):
    site.parts.live.close()
    assert tab.next() == ("bye", {"why": "shutdown"})


def test_connecting_over_and_over_is_limited(site, address):
    site.parts.limits._limits["socket"] = type(site.parts.limits._limits["socket"])(
        2, site.parts.limits._limits["socket"].per
    )
    secret, _ = site.sign_in("bob")
    tabs = [Tab(address, secret) for _ in range(2)]
    with pytest.raises(NotConnected):
        Tab(address, secret)
    for tab in tabs:
        tab.close()


def test_every_event_and_topic_declares_its_permission(site):
    handlers = site.app.extensions["socketio"].server.handlers["/"]
    assert set(handlers) == set(live.EVENTS)
    for needed in (*live.EVENTS.values(), *live.TOPICS.values()):
        assert needed in Permission


def test_nobody_without_the_permission_may_watch_a_topic():
    stranger, viewer = Principal("charlie"), Principal("bob", "viewer", kind=Kind.USER)
    for topic in live.TOPICS:
        name = topic + "x" if topic.endswith(":") else topic
        assert live.may_watch(viewer, name)
        assert not live.may_watch(stranger, name)


def test_polling_that_could_not_begin_begins_with_the_next_tab(site):
    begun = []
    one = live.Live(SimpleNamespace(start_background_task=begun.append), site.parts)
    with site.store.begin() as session:
        session.execute(text("ALTER TABLE topics RENAME TO away"))
    with pytest.raises(StoreError):
        BEGIN_POLLING(one)
    with site.store.begin() as session:
        session.execute(text("ALTER TABLE away RENAME TO topics"))
    BEGIN_POLLING(one)
    assert len(begun) == 1
