"""Forms: the same with and without scripts; errors are named, linked and focused."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

REFUSED = "Failed to load resource: the server responded with a status of 422"


@pytest.mark.parametrize("scripts", [True, False])
def test_preferences_are_kept(visit, scripts):
    page = visit("/settings/me", scripts=scripts)
    page.get_by_label("dark").check()
    page.get_by_label("compact").check()
    page.get_by_label("Time zone").fill("Asia/Tokyo")
    page.get_by_role("button", name="Keep").click()
    expect(page).to_have_url(re.compile(r"/settings/me\?done=kept$"))
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator(".toast")).to_contain_text("Preferences are kept in this browser.")
    expect(page.locator(".foot")).to_contain_text("Times in Asia/Tokyo")


def test_a_refused_form_keeps_what_was_typed_and_focuses_the_fault(visit, axe):
    visit.expected = [REFUSED]
    page = visit("/settings/me")
    page.get_by_label("dark").check()
    page.get_by_label("Time zone").fill("Mars/Base")
    page.get_by_role("button", name="Keep").click()
    field = page.get_by_label("Time zone")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(field).to_have_value("Mars/Base")
    expect(page.get_by_label("dark")).to_be_checked()
    expect(page.locator("#alarm")).to_contain_text("This time zone is not known.")
    assert axe(page) == []


@pytest.mark.parametrize("scripts", [True, False])
def test_a_token_is_made_shown_and_revoked(visit, axe, scripts):
    page = visit("/settings/tokens", scripts=scripts)
    page.get_by_label("Used by").fill("ci job")
    page.get_by_label("May").select_option("responder")
    page.get_by_role("button", name="Make token").click()
    expect(page.locator("#made-token")).to_have_text(re.compile("^qd_responder_"))
    if scripts:
        assert axe(page) == []
    page.get_by_role("button", name="Revoke ci job").click()
    expect(page.locator("h1")).to_have_text("0 tokens are valid.")


def test_a_server_that_does_not_answer_is_told_without_guessing(visit):
    visit.expected = ["Failed to load resource"]
    page = visit("/settings/me")
    page.route(
        "**/settings/me", lambda route: route.abort() if route.request.method == "POST" else route.continue_()
    )
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("alert").filter(has_text="Look before you repeat it.").last).to_be_visible()


def test_signing_out_ends_the_session(visit):
    page = visit("/")
    page.locator("summary", has_text="alice").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/login$"))
    page.goto("/")
    expect(page).to_have_url(re.compile("/login$"))
