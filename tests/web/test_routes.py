"""Every route of the whole application: declared, and closed to who may not."""

from __future__ import annotations

import pytest

from app import live
from app.web.access import Kind, Permission, Principal
from tests.support import small_fleet
from tests.support.web import make_site

SAFE = {"GET", "HEAD", "OPTIONS"}

# Unsafe methods that need no permission: what is sent before anybody is signed in, and a sentence for strayed senders.
OPEN = {"login.sign_in", "login.sign_out", "setup.make_first_admin", "otlp.only_post"}
# Unsafe methods that change nothing but the viewer's own preferences.
OWN = {"settings", "tokens", "fleet"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = make_site(tmp_path_factory.mktemp("routes"), blueprints=None, own_templates=False)
    small_fleet.put_topology(made.store)
    return made


def rules(site):
    return list(site.app.url_map.iter_rules())


def address(rule):
    """An address of the rule with something in every place."""
    parts = {}
    for name in rule.arguments:
        items = getattr(rule._converters[name], "items", None)
        parts[name] = sorted(items)[0] if items else "1"
    return rule.build(parts, append_unknown=False)[1]


def test_every_route_declares_its_permission(site):
    undeclared = [
        rule.endpoint
        for rule in rules(site)
        if not isinstance(getattr(site.app.view_functions[rule.endpoint], "permission", None), Permission)
    ]
    assert undeclared == []


def test_every_unsafe_method_needs_more_than_looking(site):
    for rule in rules(site):
        permission = site.app.view_functions[rule.endpoint].permission
        if rule.methods - SAFE and rule.endpoint not in OPEN:
            own = rule.endpoint.partition(".")[0] in OWN
            assert permission not in (Permission.PUBLIC, *(() if own else (Permission.READ,))), rule.endpoint


def test_only_what_comes_before_a_session_goes_without_its_token(site):
    without = {
        rule.endpoint
        for rule in rules(site)
        if rule.methods - SAFE and not site.app.view_functions[rule.endpoint].declared.csrf
    }
    assert without <= {"login.sign_in", "setup.make_first_admin", "otlp.traces"}


@pytest.mark.parametrize("who", [None, "bob", "alice", "carol", "ada"])
def test_no_route_answers_who_lacks_its_permission(site, who):
    held = {
        None: Principal("x"),
        "bob": Principal("x", "viewer", kind=Kind.USER),
        "alice": Principal("x", "responder", kind=Kind.USER),
        "carol": Principal("x", "approver", kind=Kind.USER),
        "ada": Principal("x", "admin", kind=Kind.USER),
    }[who]
    client = site.client(who)
    site.parts.limits._buckets.clear()
    for rule in rules(site):
        permission = site.app.view_functions[rule.endpoint].permission
        if held.allows(permission):
            continue
        for method in rule.methods - {"OPTIONS"}:
            answer = client.open(
                address(rule),
                method=method,
                headers={"Sec-Fetch-Dest": "empty"},
                environ_base={"REMOTE_ADDR": "192.0.2.1"},
                json={} if method not in SAFE and rule.endpoint.startswith("api_") else None,
            )
            site.parts.limits._buckets.clear()
            assert answer.status_code in (401, 403), (rule.endpoint, method)


def test_without_a_session_or_a_token_no_route_changes_anything(site):
    client = site.client("ada")
    client.environ_base.pop("HTTP_X_QD_CSRF")
    for rule in rules(site):
        if rule.endpoint in OPEN or rule.endpoint == "otlp.traces":
            continue
        for method in rule.methods - SAFE:
            body = {"json": {}} if rule.endpoint.startswith("api_") else {"data": {}}
            answer = client.open(address(rule), method=method, **body)
            site.parts.limits._buckets.clear()
            assert answer.status_code == 403, (rule.endpoint, method)


def test_every_blueprint_of_the_api_is_known_as_one(site):
    """Its name decides on JSON bodies, limits and problem documents."""
    for rule in rules(site):
        if rule.rule.startswith("/api/v1"):
            assert rule.endpoint.startswith("api_"), rule.rule


def test_socket_events_and_topics_declare_theirs(site):
    assert set(site.app.extensions["socketio"].server.handlers["/"]) == set(live.EVENTS)
    assert all(isinstance(one, Permission) for one in (*live.EVENTS.values(), *live.TOPICS.values()))


@pytest.mark.parametrize("prefix", ["/", "/./", "//", "/x/../"])
def test_no_route_opens_under_another_way_of_writing_it(site, prefix):
    client = site.client()
    for rule in rules(site):
        view = site.app.view_functions[rule.endpoint]
        if (
            view.permission is Permission.PUBLIC
            or "GET" not in rule.methods
            or not rule.rule.startswith("/api")
        ):
            continue
        answer = client.get(prefix + address(rule).lstrip("/"), headers={"Sec-Fetch-Dest": "empty"})
        site.parts.limits._buckets.clear()
        assert answer.status_code in (401, 403, 404), (rule.endpoint, prefix)
