"""Signing in, out, for the first time, and too often."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app import clock
from app.config import Server
from app.pages.login import safe_next
from app.store import audit, sessions, settings, users
from tests.support.web import PASSWORD, make_site


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path)


def sign_in(client, name="alice", password=PASSWORD, **more):
    return client.post("/login", data={"username": name, "password": password, **more})


def cookie_of(answer):
    return answer.headers.get("Set-Cookie", "")


def test_a_right_password_opens_a_session_and_goes_on(site):
    client = site.client()
    answer = sign_in(client, next="/services/a/b/c?from=now-1h")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/services/a/b/c?from=now-1h")
    assert client.get("/login").headers["Location"] == "/"


def test_the_stored_session_is_only_a_hash(site):
    secret = cookie_of(sign_in(site.client())).partition("=")[2].partition(";")[0]
    with site.store.reading() as session:
        (row,) = sessions.of_user(session, "alice")
    assert len(secret) >= 43
    assert secret not in repr(row)


def test_every_failure_looks_alike(site):
    with site.store.begin() as session:
        users.disable(session, "bob")
    answers = [
        sign_in(site.client(), "alice", "wrong"),
        sign_in(site.client(), "nobody", "wrong"),
        sign_in(site.client(), "bob", PASSWORD),
        sign_in(site.client(), "x" * 10_000 + "\x00", "wrong"),
    ]
    shown = {answer.get_data(as_text=True).split("|")[0] for answer in answers}
    assert len(shown) == 1
    assert {answer.status_code for answer in answers} == {401}


def test_the_session_id_changes_at_sign_in_and_the_old_one_ends(site):
    client = site.client("alice")
    before = client.get_cookie("qd_dev").value
    client.environ_base.pop("HTTP_X_QD_CSRF")
    sign_in(client)
    after = client.get_cookie("qd_dev").value
    assert before != after
    with site.store.reading() as session:
        assert sessions.find(session, before) is None
        assert sessions.find(session, after) is not None


def test_a_planted_id_is_worth_nothing(site):
    client = site.client()
    client.set_cookie("qd_dev", "planted-by-somebody")
    sign_in(client)
    with site.store.reading() as session:
        assert sessions.find(session, "planted-by-somebody") is None


def test_five_failures_lock_the_name_from_every_address(site):
    for i in range(5):
        answer = site.client().post(
            "/login",
            data={"username": "alice", "password": "no"},
            environ_base={"REMOTE_ADDR": f"10.0.0.{i}"},
        )
        assert answer.status_code == 401
    answer = sign_in(site.client())
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 181
    site.time.tick(181)
    assert sign_in(site.client()).status_code == 303


def test_five_failures_lock_the_address_for_every_name(site):
    for name in ("a", "b", "c", "d", "e"):
        sign_in(site.client(), name, "no")
    assert sign_in(site.client()).status_code == 429


def test_success_costs_no_try(site):
    for _ in range(12):
        assert sign_in(site.client()).status_code == 303


def test_signing_out_ends_the_session_on_the_server(site):
    client = site.client("alice")
    secret = client.get_cookie("qd_dev").value
    assert client.post("/logout").status_code == 303
    with site.store.reading() as session:
        assert sessions.find(session, secret) is None


def test_signing_out_needs_the_token(site):
    client = site.client("alice")
    client.environ_base.pop("HTTP_X_QD_CSRF")
    assert client.post("/logout").status_code == 403


def test_a_session_ends_after_eight_idle_hours_and_after_a_day(site):
    client = site.client("alice")
    start = clock.now()
    for hours, alive in ((7, True), (14, True), (21, True), (23.9, True), (24.1, False)):
        site.time.tick(3600)
        with clock.frozen_at(start + timedelta(hours=hours)):
            found = site.parts.accounts.by_session(client.get_cookie("qd_dev").value)
        assert (found is not None) is alive, hours
    other = site.client("alice")
    with clock.frozen_at(clock.now() + timedelta(hours=8, seconds=1)):
        assert site.parts.accounts.by_session(other.get_cookie("qd_dev").value) is None


def test_the_cookie_is_host_bound_behind_https(tmp_path):
    site = make_site(tmp_path, server=Server(external_url="https://qd.example.com"))
    cookie = cookie_of(sign_in(site.client()))
    assert cookie.startswith("__Host-qd=")
    for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert attribute in cookie
    assert "Domain" not in cookie


def test_on_plain_http_the_cookie_says_that_it_is_for_development(site):
    cookie = cookie_of(sign_in(site.client()))
    assert cookie.startswith("qd_dev=")
    assert "HttpOnly" in cookie


def test_signing_in_leaves_an_audit_row(site):
    sign_in(site.client())
    with site.store.reading() as session:
        (row,) = audit.page(session)
    assert (row.who, row.what) == ("alice", "sign-in")


@pytest.mark.parametrize(
    "text",
    [
        "//evil.com",
        "/\\evil.com",
        "https://evil.com",
        "javascript:alert(1)",
        "/a\nb",
        "/x\\y",
        "",
        None,
        "evil",
        "/login?next=/login",
        "/logout",
        "/" + "a" * 3000,
    ],
)
def test_after_sign_in_only_our_own_pages_follow(text):
    assert safe_next(text) == "/"


def test_a_page_of_ours_follows():
    assert safe_next("/services/a/b/c?x=1#y") == "/services/a/b/c?x=1#y"


class TestSetup:
    """The first admin."""

    @pytest.fixture
    def fresh(self, tmp_path):
        site = make_site(tmp_path, cast=False)
        with site.store.begin() as session:
            site.code = settings.new_setup_code(session)
        return site

    def post(self, site, **over):
        data = {"username": "root", "password": PASSWORD, "code": site.code} | over
        return site.client().post("/setup", data=data)

    def test_the_code_makes_the_first_admin_and_signs_in(self, fresh):
        answer = self.post(fresh)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")
        assert "qd_dev=" in cookie_of(answer)
        with fresh.store.reading() as session:
            assert users.get(session, "root").role == "admin"

    def test_afterwards_setup_is_closed(self, fresh):
        self.post(fresh)
        assert fresh.client().get("/setup").status_code == 404
        assert self.post(fresh, username="second").status_code == 404

    @pytest.mark.parametrize(
        "over", [{"code": "wrong"}, {"code": ""}, {"password": "short"}, {"username": "<b>"}]
    )
    def test_bad_input_makes_nobody(self, fresh, over):
        assert self.post(fresh, **over).status_code == 422
        with fresh.store.reading() as session:
            assert users.count(session) == 0
        assert self.post(fresh).status_code == 303

    def test_guessing_the_code_is_limited(self, fresh):
        for _ in range(5):
            assert self.post(fresh, code="guess").status_code == 422
        assert self.post(fresh).status_code == 429

    def test_before_setup_the_sign_in_page_leads_there(self, fresh):
        assert fresh.client().get("/login").headers["Location"] == "/setup"
