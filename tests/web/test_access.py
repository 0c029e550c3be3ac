"""Who may do what, tested on a small application with one route per permission and on every real route."""

from __future__ import annotations

import pytest
from flask import Blueprint

from app.web.access import Kind, Permission, Principal, requires
from tests.support.web import OWN_BLUEPRINTS, make_site

blueprint = Blueprint("probe", __name__)

for _permission in Permission:
    blueprint.add_url_rule(
        f"/needs/{_permission}",
        f"needs_{_permission}",
        requires(str(_permission))(lambda: "in"),
        methods=["GET", "POST"],
    )
blueprint.add_url_rule("/undeclared", "undeclared", lambda: "in")

PROBES = (*OWN_BLUEPRINTS, "tests.web.test_access:blueprint")

MAY = {
    None: {"public"},
    "bob": {"public", "read", "self"},
    "alice": {"public", "read", "self", "act"},
    "carol": {"public", "read", "self", "act", "approve"},
    "ada": {"public", "read", "self", "act", "approve", "admin"},
}
TOKEN_MAY = {
    ("read",): {"public", "read"},
    ("viewer",): {"public", "read"},
    ("responder",): {"public", "read", "act"},
    ("admin",): {"public", "read", "act", "admin"},
    ("ingest",): {"public", "ingest"},
    ("action:scale@shop",): {"public", "read", "act"},
    ("nonsense",): {"public"},
}


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path, blueprints=PROBES)


@pytest.mark.parametrize("who", MAY)
@pytest.mark.parametrize("permission", Permission)
def test_each_role_gets_what_it_holds_and_nothing_else(site, who, permission):
    client = site.client(who)
    client.environ_base["REMOTE_ADDR"] = "192.0.2.7"  # not this machine, whose programs may ingest
    for method in ("GET", "POST"):
        answer = client.open(f"/needs/{permission}", method=method, headers={"Sec-Fetch-Dest": "empty"})
        expected = 200 if permission in MAY[who] else (401 if who is None else 403)
        assert answer.status_code == expected


@pytest.mark.parametrize("scopes", TOKEN_MAY)
def test_a_token_gets_what_its_scopes_say_and_never_approves_or_mints(site, scopes):
    headers = site.token(*scopes)
    for permission in Permission:
        answer = site.client().get(f"/needs/{permission}", headers=headers)
        assert answer.status_code == (200 if permission in TOKEN_MAY[scopes] else 403), permission


def test_a_token_can_do_no_more_than_its_owner_may_today(site):
    headers = site.token("admin", owner="bob")
    assert site.client().get("/needs/act", headers=headers).status_code == 403
    assert site.client().get("/needs/read", headers=headers).status_code == 200


def test_a_view_that_declares_nothing_is_refused_to_everybody(site):
    assert site.client("ada").get("/undeclared").status_code == 403


@pytest.mark.parametrize(
    "path",
    ["//needs/admin", "/./needs/admin", "/needs%2fadmin", "/needs/admin/", "/NEEDS/admin", "/needs/admin;x"],
)
def test_no_other_way_of_writing_a_path_opens_it(site, path):
    assert site.client("bob").get(path).status_code in (403, 404)


@pytest.mark.parametrize(
    "header",
    ["Bearer nothing", "Bearer ", "Bearer qd_admin_00000000_" + "x" * 43, "Basic YTpi", "nonsense", ""],
)
def test_a_credential_that_fails_is_401_even_with_anonymous_viewing(tmp_path, header):
    site = make_site(tmp_path, blueprints=PROBES, anonymous="viewer")
    assert site.client().get("/needs/read").status_code == 200
    answer = site.client().get("/needs/read", headers={"Authorization": header, "Accept": "application/json"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_in_the_address_is_worth_nothing(site):
    text = site.token("admin")["Authorization"].removeprefix("Bearer ")
    answer = site.client().get(
        f"/needs/read?access_token={text}&token={text}", headers={"Sec-Fetch-Dest": "empty"}
    )
    assert answer.status_code == 401


def test_anonymous_viewing_is_read_only(tmp_path):
    site = make_site(tmp_path, blueprints=PROBES, anonymous="viewer")
    for permission in ("act", "approve", "admin", "self"):
        answer = site.client().post(f"/needs/{permission}")
        assert answer.status_code == 401, permission


def test_a_disabled_user_is_out_within_a_second_with_all_tokens(site):
    from app.store import users

    client, headers = site.client("alice"), site.token("read", owner="alice")
    assert client.get("/needs/read").status_code == 200
    with site.store.begin() as session:
        users.disable(session, "alice")
    site.time.tick(1)
    assert client.get("/needs/read", headers={"Sec-Fetch-Dest": "empty"}).status_code == 401
    assert site.client().get("/needs/read", headers=headers).status_code == 401


def test_an_action_scope_is_narrow():
    token = Principal("t", "admin", frozenset({"action:scale@shop"}), Kind.TOKEN, "id")
    assert token.may_act("scale", "shop")
    assert not token.may_act("scale", "payments")
    assert not token.may_act("rollback", "shop")
    assert Principal("t", "", frozenset({"action:scale"}), Kind.TOKEN, "id").may_act("scale", "anything")
    assert Principal("alice", "responder", kind=Kind.USER).may_act("rollback", "shop")
    assert not Principal("bob", "viewer", kind=Kind.USER).may_act("scale", "shop")


LOOPBACK = {"REMOTE_ADDR": "127.0.0.1"}


@pytest.mark.parametrize(
    ("environ", "headers", "status"),
    [
        ({}, {}, 200),
        ({}, {"Host": "localhost:8080"}, 200),
        ({"REMOTE_ADDR": "::1"}, {"Host": "[::1]:8080"}, 200),
        ({"REMOTE_ADDR": "::ffff:127.0.0.1"}, {"Host": "127.0.0.1"}, 200),
        ({"REMOTE_ADDR": "10.0.0.9"}, {}, 401),
        ({"quarterdeck.listener": "0.0.0.0:4318"}, {}, 401),
        ({}, {"Host": "rebound.example.com"}, 401),
        ({}, {"X-Forwarded-For": "10.0.0.9"}, 401),
        ({}, {"Origin": "https://evil.example.com"}, 401),
        ({}, {"Sec-Fetch-Site": "cross-site"}, 401),
    ],
)
def test_programs_on_this_machine_ingest_without_a_token(site, environ, headers, status):
    answer = site.client().post("/needs/ingest", environ_base=LOOPBACK | environ, headers=headers)
    assert answer.status_code == status


def test_loopback_gives_nothing_but_the_declared_permission(site):
    client = site.client()
    for permission in ("read", "act", "admin"):
        answer = client.get(
            f"/needs/{permission}", environ_base=LOOPBACK, headers={"Accept": "application/json"}
        )
        assert answer.status_code == 401


def test_elsewhere_ingest_needs_a_token_unless_it_is_declared_open(tmp_path):
    from app.config import Auth, Server

    closed = make_site(tmp_path, blueprints=PROBES, server=Server(listen="0.0.0.0:8080"))
    assert closed.client().post("/needs/ingest", environ_base=LOOPBACK).status_code == 401
    assert closed.client().post("/needs/ingest", headers=closed.token("ingest")).status_code == 200
    other = tmp_path / "other"
    other.mkdir()
    opened = make_site(
        other,
        blueprints=PROBES,
        server=Server(listen="0.0.0.0:8080"),
        auth=Auth(anonymous="none", open=("otlp",)),
    )
    assert opened.client().post("/needs/ingest", environ_base={"REMOTE_ADDR": "10.0.0.9"}).status_code == 200
