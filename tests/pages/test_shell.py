from __future__ import annotations

import gzip
import re
from pathlib import Path

from app import paths
from app.pages import shell
from tests.support.html import Page
from tests.support.web import make_site


def labels(page: Page) -> list[str]:
    nav = page.html.split('aria-label="Main"')[1].split("</nav>")[0]
    return re.findall(r">([A-Z][a-z]+)</a>", nav)


def test_the_navigation_shows_only_pages_that_exist(tmp_path, get):
    rules = {"/": "Fleet", "/topology": "Topology", "/actions": "Actions", "/audit": "Audit"}
    only = ("app.pages.shell:blueprint", "app.pages.fragments:blueprint", "app.pages.fleet:blueprint")
    place = tmp_path / "small"
    place.mkdir()
    site = make_site(place, blueprints=only, own_templates=False)
    page = Page(site.client("bob").get("/").get_data(as_text=True))
    assert labels(page) == ["Fleet"]
    assert "Settings" in labels(get("/"))
    assert set(labels(get("/"))) <= {*rules.values(), "Settings"}


def test_the_present_page_is_marked_and_the_skip_link_comes_first(get):
    page = get("/settings/me")
    assert page.all("a")[0].attributes["href"] == "#main"
    assert page.all("a", aria_current="page")[0].text == "Settings"


def test_a_caller_without_read_sees_no_navigation_and_no_time_picker(site):
    page = Page(site.client().get("/login").get_data(as_text=True))
    assert page.faults == []
    assert not page.all("nav")
    assert not page.all("details")


def test_error_pages_keep_the_shell_and_echo_nothing(get):
    page = get("/services/%3Cscript%3Ealert(1)%3C/x/y/z/q?secret=hunter2", status=404)
    assert page.text("h1") == "Not found"
    assert "Fleet" in labels(page)
    assert "hunter2" not in page.html
    assert "alert(1)" not in page.html
    assert re.search(r"Request [0-9a-f]{16}", " ".join(page.one("main").text.split()))


def test_a_bad_time_is_refused_with_what_to_write_instead(get):
    page = get("/?from=%22%3E%3Cb%3Elast", status=400)
    assert "Write a time as 2026-11-23T10:41:20Z, or relative as now-1h." in page.one("main").text
    assert "last" not in page.one("main").text


def test_only_known_codes_are_shown_after_a_redirect(get):
    assert "Preferences are kept" in get("/settings/me?done=kept").one("div", id="toasts").text
    assert get("/settings/me?done=%3Cb%3Eyou+won").one("div", id="toasts").text.strip() == ""


def test_times_name_their_zone_once_and_follow_the_viewer(site):
    client = site.client("bob")
    client.set_cookie("qd_prefs", "zone=Asia%2FTokyo")
    page = Page(client.get("/").get_data(as_text=True))
    assert page.html.count("Times in Asia/Tokyo") == 1
    moment = page.all("time")[0]
    assert moment.attributes["datetime"].endswith("Z")


def test_a_foreign_id_makes_a_safe_html_id():
    assert shell.row_id("svc", 'demo:shop:a b"<x>') == "svc-demo:shop:a%20b%22%3Cx%3E"


def loaded(*first: Path) -> set[Path]:
    """Scripts that come with these: what they import, and what that imports; not what is fetched when asked for."""
    found: set[Path] = set()
    waiting = list(first)
    while waiting:
        script = waiting.pop().resolve()
        if script not in found:
            found.add(script)
            names = re.findall(r'^import [^;]*?"(\.[^"]+)";', script.read_text(), re.MULTILINE)
            waiting += [script.parent / name for name in names]
    return found


def test_no_page_loads_more_than_forty_kilobytes_of_scripts_and_page_scripts_stay_short():
    own = paths.static() / "js"
    for page in (own / "pages").glob("*.js"):
        scripts = loaded(own / "main.js", page)
        assert len(scripts) > 10
        assert len(gzip.compress(b"".join(one.read_bytes() for one in sorted(scripts)))) <= 40_000, page.name
        assert len(page.read_text().splitlines()) <= 150, page.name


def test_every_script_is_checked_and_says_what_it_is_for():
    for path in (paths.static() / "js").rglob("*.js"):
        first, second = path.read_text().splitlines()[:2]
        assert first == "// @ts-check", path.name
        assert second.startswith(("// ", "/**")), path.name
