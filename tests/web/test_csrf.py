"""Forged requests: what a foreign page can make a browser send, and what must come of it."""

from __future__ import annotations

import pytest
from flask import Blueprint

from app.web.access import requires
from tests.support.web import OWN_BLUEPRINTS, make_site

pages = Blueprint("change", __name__)
programs = Blueprint("api_change", __name__)
pages.add_url_rule("/change", "change", requires("act")(lambda: "changed"), methods=["POST"])
programs.add_url_rule(
    "/api/v1/change", "change", requires("act")(lambda: "changed"), methods=["POST", "DELETE"]
)

PROBES = (*OWN_BLUEPRINTS, "tests.web.test_csrf:pages", "tests.web.test_csrf:programs")
OURS = "http://127.0.0.1:8080"


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path, blueprints=PROBES)


@pytest.fixture
def browser(site):
    """Alice's browser: it sends the cookie, but no token by itself."""
    client = site.client("alice")
    client.token = client.environ_base.pop("HTTP_X_QD_CSRF")
    return client


def test_a_form_with_the_sessions_token_is_believed(browser):
    assert (
        browser.post("/change", data={"csrf_token": browser.token}, headers={"Origin": OURS}).status_code
        == 200
    )


def test_without_the_token_nothing_changes(browser):
    assert browser.post("/change", data={}).status_code == 403
    assert browser.post("/change", data={"csrf_token": "guess"}).status_code == 403
    assert browser.post("/change?csrf_token=" + browser.token).status_code == 403


def test_the_token_of_another_session_is_not_ours(browser, site):
    _, other = site.sign_in("alice")
    assert browser.post("/change", data={"csrf_token": other.csrf}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "https://127.0.0.1:8080"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": OURS, "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_foreign_page_is_refused_even_with_the_right_token(browser, headers):
    answer = browser.post("/change", data={"csrf_token": browser.token}, headers=headers)
    assert answer.status_code == 403


def test_the_api_reads_only_json(browser):
    headers = {"X-QD-CSRF": browser.token}
    assert browser.post("/api/v1/change", json={}, headers=headers).status_code == 200
    assert browser.delete("/api/v1/change", headers=headers).status_code == 200
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = browser.post("/api/v1/change", data=b"{}", content_type=kind, headers=headers)
        assert answer.status_code == 415, kind
        assert answer.mimetype == "application/problem+json"


def test_the_api_takes_its_token_from_the_header_only(browser):
    assert browser.post("/api/v1/change", json={"csrf_token": browser.token}).status_code == 403


def test_a_bearer_token_alone_needs_no_csrf_token(site):
    assert site.client().post("/api/v1/change", json={}, headers=site.token("responder")).status_code == 200


def test_a_bearer_token_beside_a_cookie_needs_the_csrf_token(site, browser):
    headers = site.token("responder")
    assert browser.post("/api/v1/change", json={}, headers=headers).status_code == 403
    assert (
        browser.post("/api/v1/change", json={}, headers=headers | {"X-QD-CSRF": browser.token}).status_code
        == 200
    )


def test_a_dead_cookie_beside_a_bearer_token_is_no_way_round(site):
    client = site.client()
    client.set_cookie("qd_dev", "dead")
    assert client.post("/api/v1/change", json={}, headers=site.token("responder")).status_code == 403


def test_signing_in_from_a_foreign_page_is_refused(site):
    data = {"username": "alice", "password": "x"}
    assert (
        site.client().post("/login", data=data, headers={"Origin": "https://evil.example.com"}).status_code
        == 403
    )
