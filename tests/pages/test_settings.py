from __future__ import annotations

from app import clock
from tests.support.html import Page
from tests.support.shown import silent


def post(client, path, status=303, **form):
    answer = client.post(path, data={"csrf_token": client.environ_base["HTTP_X_QD_CSRF"], **form})
    assert answer.status_code == status, answer.get_data(as_text=True)[:500]
    return answer


def test_sources_that_answer_say_their_age_and_what_they_are_worth(get):
    page = get("/settings/sources")
    assert page.text("h1") == "All 2 sources answer."
    words = (
        page.text("tr", id="src-demo%2Fprometheus")
        if page.all("tr", id="src-demo%2Fprometheus")
        else page.html
    )
    assert "no rates, errors or latencies" in words


def test_a_silent_source_comes_first_with_its_error_cut_and_escaped(site, get):
    silent(site.store, clock.now(), "refused <script>alert(1)</script> " + "x" * 5000)
    page = get("/settings/sources")
    assert page.text("h1") == "demo/prometheus needs a look: down."
    rows = [one for one in page.all("tr") if one.attributes.get("id")]
    assert "refused <script>alert(1)</script>" in rows[0].text
    assert len(rows[0].text) < 1000


def test_no_source_at_all_shows_how_to_add_one(get_empty):
    page = get_empty("/settings/sources")
    assert page.text("h1") == "No source is configured."
    assert "clusters:" in page.one("pre").text


def test_preferences_are_kept_in_a_readable_cookie_and_shown_again(site):
    client = site.client("bob")
    answer = post(client, "/settings/me", theme="dark", density="compact", zone="Europe/Berlin", calm="on")
    assert answer.headers["Location"] == "/settings/me?done=kept"
    page = Page(client.get("/settings/me").get_data(as_text=True))
    html = page.one("html").attributes
    assert (html["data-theme"], html["data-density"]) == ("dark", "compact")
    assert page.one("body").attributes["data-keys"] == "off"
    assert "data-calm" in page.one("body").attributes
    assert "checked" in page.one("input", name="theme", value="dark").attributes


def test_an_unknown_zone_comes_back_with_its_reason_and_nothing_is_kept(site):
    client = site.client("bob")
    answer = post(client, "/settings/me", status=422, theme="dark", zone='"><b>Mars')
    page = Page(answer.get_data(as_text=True))
    assert page.faults == []
    field = page.one("input", name="zone").attributes
    assert field["value"] == '"><b>Mars'
    assert field["aria-invalid"] == "true"
    assert "Set-Cookie" not in answer.headers


def test_a_token_is_shown_once_listed_and_revoked(site):
    client = site.client("alice")
    made = post(client, "/settings/tokens", status=200, name="ci job", scope="viewer", life="30")
    text = Page(made.get_data(as_text=True)).one("pre", id="made-token").text.strip()
    assert text.startswith("qd_viewer_")
    assert "no-store" in made.headers["Cache-Control"]
    page = Page(client.get("/settings/tokens").get_data(as_text=True))
    assert page.text("h1") == "1 token is valid."
    assert text not in page.html
    assert (
        site.app.test_client().get("/fragments/wall", headers={"Authorization": f"Bearer {text}"}).status_code
        == 200
    )
    token_id = text.split("_")[2]
    post(client, f"/settings/tokens/{token_id}/revoke")
    assert Page(client.get("/settings/tokens").get_data(as_text=True)).text("h1") == "0 tokens are valid."
    refused = site.app.test_client().get("/fragments/wall", headers={"Authorization": f"Bearer {text}"})
    assert refused.status_code == 401


def test_a_token_form_names_what_is_wrong_and_keeps_what_was_typed(site):
    client = site.client("alice")
    page = Page(
        post(client, "/settings/tokens", status=422, name="", scope="viewer", life="3").get_data(as_text=True)
    )
    assert "Give it a name" in page.one("p", id="name-fault").text
    assert "every token does" in page.one("p", id="life-fault").text
    answer = post(client, "/settings/tokens", status=422, name="mine", scope="admin", life="30")
    refused = Page(answer.get_data(as_text=True))
    assert "higher role than its maker" in refused.one("p", id="scope-fault").text
    assert refused.one("input", name="name").attributes["value"] == "mine"


def test_nobody_revokes_what_is_not_theirs(site):
    headers = site.token("read", owner="ada")
    token_id = headers["Authorization"].split("_")[2]
    post(site.client("alice"), f"/settings/tokens/{token_id}/revoke", status=404)
    assert site.app.test_client().get("/fragments/wall", headers=headers).status_code == 200


def test_a_form_without_the_sessions_token_is_refused(site):
    client = site.client("alice")
    client.environ_base.pop("HTTP_X_QD_CSRF")
    assert client.post("/settings/me", data={"theme": "dark", "zone": "UTC"}).status_code == 403


def test_tokens_need_a_person(site):
    assert site.client().get("/settings/tokens", headers=site.token("admin")).status_code == 403
