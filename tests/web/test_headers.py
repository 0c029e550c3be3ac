"""Headers that every answer carries, and addresses of static files."""

from __future__ import annotations

import base64
import hashlib

import pytest
from flask import Blueprint

from app import paths
from app.config import Server
from app.web import assets
from app.web.access import requires
from app.web.headers import allow_charts
from tests.support.web import OWN_BLUEPRINTS, make_site

blueprint = Blueprint("drawn", __name__)


@blueprint.get("/with-charts")
@requires("public")
def with_charts():
    allow_charts()
    return "drawn"


@blueprint.get("/broken")
@requires("public")
def broken():
    raise RuntimeError("secret detail of a fault")


@blueprint.get("/map")
@requires("public")
def importing():
    from flask import render_template_string

    return render_template_string("<script type='importmap'>{{ import_map() }}</script>")


PROBES = (*OWN_BLUEPRINTS, "tests.web.test_headers:blueprint")
ALWAYS = ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options")


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path, blueprints=PROBES)


@pytest.mark.parametrize(
    "path",
    [
        "/login",
        "/nowhere",
        "/broken",
        "/api/v1/nowhere",
        "/static/nothing.css",
        "//login",
        "/socket.io/?EIO=4&transport=polling",
        "/socket.io/?EIO=4&transport=polling&j=0",
        "/socket.io/nonsense",
    ],
)
def test_every_answer_carries_the_security_headers_once(site, path):
    answer = site.client().get(path)
    for name in ALWAYS:
        assert len(answer.headers.getlist(name)) == 1, name
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_only_a_page_with_charts_gets_the_two_exceptions(site):
    plain = site.client().get("/login").headers["Content-Security-Policy"]
    charts = site.client().get("/with-charts").headers["Content-Security-Policy"]
    added = set(charts.split("; ")) - set(plain.split("; "))
    assert added == {"style-src-attr 'unsafe-inline'", "img-src 'self' data: blob:"}
    assert "unsafe-inline" not in charts.replace("style-src-attr 'unsafe-inline'", "")


def test_the_policy_allows_exactly_the_import_map_that_pages_show(site):
    page = site.client().get("/map")
    shown = page.get_data(as_text=True).removeprefix("<script type='importmap'>").removesuffix("</script>")
    digest = base64.b64encode(hashlib.sha256(shown.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page.headers["Content-Security-Policy"]


def test_a_fault_of_ours_tells_the_reader_nothing_of_its_inside(site):
    answer = site.client().get("/broken?token=abc", headers={"Accept": "text/html"})
    assert answer.status_code == 500
    assert b"secret detail" not in answer.data
    assert answer.headers["X-Request-Id"].encode() in answer.data


@pytest.mark.parametrize("prefix", ["/", "/api/v1/"])
def test_error_answers_never_repeat_the_address(site, prefix):
    answer = site.client().get(f"{prefix}<img src=x onerror=alert(1)>?q=<svg onload=alert(2)>")
    assert answer.status_code == 404
    assert b"onerror" not in answer.data
    assert b"onload" not in answer.data


def test_an_error_page_that_cannot_be_drawn_still_says_what_happened(site):
    from jinja2 import DictLoader

    site.app.jinja_loader = DictLoader({"pages/error.html": "{{ 1 / 0 }}"})
    answer = site.client().get("/nowhere")
    assert answer.status_code == 404
    assert b"There is nothing at this address" in answer.data


def test_strict_transport_is_told_only_where_tls_is_ours(site, tmp_path):
    assert "Strict-Transport-Security" not in site.client().get("/login").headers
    place = tmp_path / "tls"
    place.mkdir()
    secure = make_site(place, server=Server(external_url="https://qd.example.com"))
    assert "Strict-Transport-Security" in secure.client().get("/login").headers


def test_a_callers_request_id_is_kept_only_if_it_is_inert(site):
    client = site.client()
    assert client.get("/login", headers={"X-Request-Id": "abc-12345"}).headers["X-Request-Id"] == "abc-12345"
    assert "<" not in client.get("/login", headers={"X-Request-Id": "<script>alert"}).headers["X-Request-Id"]


def test_files_under_the_build_id_are_kept_for_a_year_and_others_revalidated(site):
    some = next(path for path in sorted(paths.static().rglob("*.css")))
    name = some.relative_to(paths.static()).as_posix()
    with site.client().get(assets.static_url(name)) as kept:
        assert (kept.status_code, kept.data) == (200, some.read_bytes())
        assert "immutable" in kept.headers["Cache-Control"]
    with site.client().get(f"/static/{name}") as plain:
        assert plain.headers["Cache-Control"] == "no-cache"
    assert site.client().get(f"/static/b0000000000/{name}").status_code == 404


@pytest.mark.parametrize(
    "name", ["../app/factory.py", "..%2fpyproject.toml", "%2e%2e/pyproject.toml", "/etc/passwd"]
)
def test_nothing_outside_the_static_tree_is_served(site, name):
    assert site.client().get(f"/static/{name}").status_code == 404


def test_the_build_id_follows_the_files(tmp_path):
    (tmp_path / "a.css").write_text("a")
    fresh = assets.build_id.__wrapped__
    before = fresh(tmp_path)
    assert fresh(tmp_path) == before
    (tmp_path / "a.css").write_text("b")
    assert fresh(tmp_path) != before


def test_a_body_that_is_too_large_is_refused(site):
    answer = site.client().post("/login", data={"username": "a", "password": "x" * (2 << 20)})
    assert answer.status_code == 413
