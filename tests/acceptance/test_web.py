"""What browsers, scripts and attackers send to the running server's pages, API and sockets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from tests.support.acceptance import ROOT, Person, Quarterdeck, until
from tests.support.web import PASSWORD

MARK = "zq<b>9</b>"


@pytest.fixture(scope="module")
def deck(tmp_path_factory) -> Iterator[Quarterdeck]:
    config = {"clusters": [{"name": "demo"}], "auth": {"anonymous": "viewer"}}
    made = Quarterdeck(config, tmp_path_factory.mktemp("web"))
    made.cast()
    made.begin()
    yield made
    made.stop()
    assert "Traceback" not in made.log()


@pytest.fixture(scope="module")
def alice(deck) -> Person:
    return deck.person("alice")


FORM = {"kind": "scale", "cluster": "demo", "namespace": "shop", "workload": "Deployment", "name": "x"}


def test_a_form_without_our_token_or_from_elsewhere_is_refused(deck, alice):
    sent = FORM | {"replicas": "2", "reason": "r", "idempotency_key": "a" * 32}
    assert alice.post("/actions", sent | {"csrf_token": ""}).status_code == 403
    assert alice.post("/actions", sent | {"csrf_token": "é" * 40}).status_code == 403
    assert alice.post("/actions", sent, headers={"Origin": "http://evil.example"}).status_code == 403
    assert alice.post("/actions", sent, headers={"Origin": "null"}).status_code == 403
    assert (
        alice.post("/actions", sent, headers={"Sec-Fetch-Site": "cross-site", "Origin": ""}).status_code
        == 403
    )


def test_a_cookie_beside_a_bearer_token_still_needs_the_csrf_token(deck, alice):
    token = deck.token("responder").session.headers["Authorization"]
    body = {"kind": "scale", "target": {}, "params": {}}
    both = alice.session.post(f"{deck.url}/api/v1/actions", json=body, headers={"Authorization": token})
    assert both.status_code == 403
    alone = deck.token("responder").session.post(f"{deck.url}/api/v1/actions", json=body)
    assert alone.status_code in (400, 422)


def test_scopes_bound_what_a_token_may_do(deck):
    reader = deck.token("read")
    assert reader.get("/api/v1/services").status_code == 200
    assert reader.session.post(f"{deck.url}/api/v1/actions", json={}).status_code == 403
    broken = Person(deck.url)
    broken.session.headers["Authorization"] = "Bearer qd_viewer_abcdefgh_" + "x" * 43
    assert broken.get("/api/v1/services").status_code == 401
    assert broken.get("/").status_code == 401


PATHS = ["//", "/./api/v1/actions", "//api/v1/actions", "/api//v1/actions", "/API/v1/actions", "/actions/",
         "/api/v1/actions;x", "/%2e%2e/api/v1/actions", "/api/v1%2factions", "/static/../app/cli.py",
         "/static/%2e%2e/%2e%2e/pyproject.toml", "/fragments//wall", "/%00", "/%ff", "/" + "a" * 5000]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_odd_paths_neither_open_nor_break_anything(deck, path):
    stranger = requests.Session()
    prepared = requests.Request("POST", deck.url, data={"a": "1"}).prepare()
    prepared.url = deck.url + path
    answer = stranger.send(prepared, timeout=10, allow_redirects=False)
    assert answer.status_code in (308, 400, 401, 403, 404, 405, 414)
    prepared = requests.Request("GET", deck.url).prepare()
    prepared.url = deck.url + path
    answer = stranger.send(prepared, timeout=10, allow_redirects=False)
    assert answer.status_code in (200, 308, 400, 401, 403, 404)
    assert "hatchling" not in answer.text


BAD = {
    "/api/v1/services?cursor=zzz": "cursor",
    "/api/v1/services?limit=0": "limit",
    "/api/v1/services?limit=99999999999999999999": "limit",
    "/api/v1/topology?at=yesterday": "at",
    "/api/v1/topology?window=-5m": "window",
    "/api/v1/topology?window=9999999999d": "window",
    "/api/v1/topology?depth=x&focus=a": "depth",
    "/api/v1/topology?view=zzz": "view",
    "/api/v1/actions?cursor=AAAA": "cursor",
    "/api/v1/audit?limit=x": "limit",
}


@pytest.mark.parametrize("path", BAD)
def test_a_bad_parameter_is_named(deck, alice, path):
    answer = alice.get(path)
    assert answer.status_code == 400, answer.text[:300]
    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert BAD[path] in str(problem)


@pytest.mark.parametrize(
    "path", ["/?from=xx", "/?at=nope", "/topology?hops=99", "/?tz=Nowhere/Land", "/audit?before=-1"]
)
def test_a_page_with_a_bad_parameter_is_a_400(alice, path):
    alice.page(path, 400)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_time_are_refused_and_break_nothing(alice, moment):
    assert "at" in alice.get(f"/api/v1/topology?at={moment}").json()["detail"]
    alice.page(f"/?at={moment}", 400)
    alice.page(f"/topology?from={moment}", 400)
    alice.page("/?from=now-99999999999999d", 400)


UNKNOWN = ["/services/{0}/{0}/{0}", "/actions/{0}", "/nodes?id={0}", "/fragments/node-panel?id={0}", "/{0}",
           "/api/v1/services/{0}", "/api/v1/actions/{0}", "/api/v1/{0}", "/fragments/{0}"]  # fmt: skip


@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_thing_is_404_and_is_not_echoed(alice, path):
    answer = alice.get(path.format("zq%3Cb%3E9"))
    assert answer.status_code == 404
    assert (
        "zq" not in answer.text.split("<main")[-1].split("</main")[0]
        or "json" in answer.headers["Content-Type"]
    )
    assert "zq<b>" not in answer.text


def test_a_huge_form_and_a_form_of_many_fields_are_refused(alice):
    assert alice.post("/actions", FORM | {"reason": "x" * 3_000_000}).status_code == 413
    assert alice.post("/actions", {f"k{i}": "1" for i in range(20_000)}).status_code in (400, 413)
    long = alice.post(
        "/actions", FORM | {"replicas": "9" * 500, "reason": "r" * 5000, "idempotency_key": "b" * 32}
    )
    assert long.status_code in (404, 422)


def test_set_up_happens_once(deck):
    stranger = Person(deck.url)
    assert stranger.get("/setup").status_code in (303, 404, 410)
    sent = {"code": "x", "username": "eve", "password": "y" * 20}
    assert stranger.post("/setup", sent).status_code in (303, 403, 404, 410)
    assert "eve" not in str(deck.token("read").get("/api/v1/audit").json())


def test_an_anonymous_viewer_looks_and_does_nothing_else(deck):
    stranger = Person(deck.url)
    assert "read" in stranger.read("/").casefold()
    assert stranger.get("/topology").status_code == 200
    assert stranger.post("/actions", FORM).status_code in (401, 403)
    assert stranger.session.post(f"{deck.url}/api/v1/actions", json={}).status_code in (401, 403)
    assert stranger.get("/settings/tokens").status_code in (303, 401, 403)


def test_a_sign_in_that_fails_five_times_is_locked_and_says_how_long(deck):
    answers = [deck.sign_in("bob", "wrong") for _ in range(6)]
    assert {one.status_code for one in answers[:5]} <= {401, 422}
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert deck.sign_in("bob", PASSWORD).status_code == 429


def test_a_user_disabled_in_the_middle_of_a_session_is_out(deck):
    carol = deck.person("carol")
    assert "carol" in carol.read("/")
    command = [sys.executable, "-m", "app.cli", "user", "disable", "carol"]
    where = ["--config", str(deck.file), "--state-dir", str(deck.state)]
    subprocess.run([*command, *where], cwd=ROOT, check=True, capture_output=True, timeout=60)
    until(lambda: "carol" not in carol.get("/").text, seconds=10)  # a session is believed for a second
    assert carol.post("/actions", FORM).status_code in (401, 403)


def test_a_socket_needs_our_origin(deck, alice):
    path = f"{deck.url}/socket.io/?EIO=4&transport=polling"
    assert alice.session.get(path, headers={"Origin": "http://evil.example"}).status_code in (400, 403)
    assert alice.session.get(path + "&j=0").status_code in (400, 403)
    own = alice.session.get(path, headers={"Origin": deck.url})
    assert own.status_code == 200
    assert "nosniff" in own.headers["X-Content-Type-Options"]
    forwarded = {"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"}
    assert alice.session.get(path, headers=forwarded).status_code in (400, 403)


def test_a_request_for_another_host_is_not_ours(deck):
    answer = requests.get(deck.url, headers={"Host": "evil.example"}, timeout=5, allow_redirects=False)
    assert "evil.example" not in answer.text + str(answer.headers)
