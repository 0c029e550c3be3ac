"""Scaling from the dialog, from the page and without scripts; nothing happens by accident."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Served, serving
from tests.support.acting_site import NEW, seed_checkout, writable
from tests.support.fake_kubernetes_writes import FakeKubernetesWrites

CHECKOUT = "/services/demo/shop/checkout"


@pytest.fixture
def clustered(tmp_path: Path) -> Iterator[tuple[FakeKubernetesWrites, Served]]:
    with writable(tmp_path) as (cluster, clusters), serving(tmp_path, clusters=clusters) as served:
        seed_checkout(served.site.store)
        yield cluster, served


@pytest.fixture
def cluster(clustered) -> FakeKubernetesWrites:
    return clustered[0]


@pytest.fixture
def served(clustered) -> Served:
    return clustered[1]


def plan(page: Page, replicas: int) -> None:
    page.get_by_label("Replicas").fill(str(replicas))
    page.get_by_label("Reason").fill("the queue grows")
    page.get_by_role("button", name="Check and preview").click()


def test_a_service_is_scaled_in_the_dialog(visit, axe, cluster):
    page = visit(CHECKOUT)
    page.get_by_role("link", name="Scale…").click()
    dialog = page.get_by_role("dialog", name="Scale checkout")
    expect(dialog.get_by_role("link", name="Cancel")).to_be_focused()
    assert axe(page) == []
    plan(page, 6)
    expect(dialog.get_by_role("heading", name="Scale checkout 3 to 6")).to_be_visible()
    expect(dialog.locator(".diff-add")).to_have_text("+ 6")
    assert axe(page) == []
    assert cluster.replicas == 3
    dialog.get_by_role("button", name="Scale checkout 3 to 6").click()
    expect(dialog.locator(".state-line")).to_contain_text("Watching")
    assert cluster.replicas == 6
    assert axe(page) == []


def test_escape_leaves_everything_as_it_was(visit, cluster):
    page = visit(CHECKOUT)
    page.get_by_role("link", name="Scale…").click()
    expect(page.get_by_role("dialog", name="Scale checkout")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Scale checkout")).to_be_hidden()
    expect(page.get_by_role("link", name="Scale…")).to_be_focused()
    page.goto("/audit")
    expect(page.locator("h1")).to_have_text("0 entries in the audit log.")


@pytest.mark.parametrize("where", ["dialog", "page"])
def test_what_changed_meanwhile_is_reviewed_again(visit, axe, cluster, where):
    visit.expected = ["Failed to load resource: the server responded with a status of 409"]
    page = visit(CHECKOUT if where == "dialog" else NEW)
    if where == "dialog":
        page.get_by_role("link", name="Scale…").click()
    plan(page, 6)
    expect(page.locator(".diff-add")).to_have_text("+ 6")
    cluster.set_replicas(5, "kubectl")
    page.get_by_role("button", name="Scale checkout 3 to 6").click()
    expect(page.locator(".state-line")).to_contain_text("Changed since you looked")
    expect(page.locator("#alarm")).to_contain_text("Changed since you looked")
    assert cluster.replicas == 5
    assert axe(page) == []
    page.get_by_role("link", name="Review again…").click()
    expect(page.get_by_label("Reason")).to_have_value("the queue grows")


def test_without_scripts_the_same_forms_do_the_same(visit, cluster):
    page = visit(CHECKOUT, scripts=False)
    page.get_by_role("link", name="Scale…").click()
    plan(page, 7)
    page.get_by_label("Type checkout to confirm").fill("checkout")
    page.get_by_role("button", name="Scale checkout 3 to 7").click()
    expect(page.locator(".state-line")).to_contain_text("Watching")
    assert cluster.replicas == 7


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/actions", "/audit", NEW])
def test_the_pages_have_no_finding(visit, axe, path, theme):
    page = visit(path, theme=theme)
    expect(page.locator("h1")).to_have_count(1)
    assert axe(page) == []


@pytest.mark.parametrize("size", [(390, 844), (320, 700)])
def test_on_a_phone_the_whole_action_fits(visit, axe, cluster, size):
    page = visit(CHECKOUT, size=size)
    page.get_by_role("link", name="Scale…").click()
    plan(page, 7)
    button = page.get_by_role("button", name="Scale checkout 3 to 7")
    button.scroll_into_view_if_needed()
    expect(button).to_be_in_viewport()
    expect(page.get_by_label("Type checkout to confirm")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    body = page.locator("#page-dialog .dialog-body")
    assert body.evaluate("(element) => element.scrollWidth <= element.clientWidth")
    assert axe(page) == []


def test_no_key_and_no_palette_entry_executes_anything(visit, cluster, served):
    page = visit(NEW)
    plan(page, 6)
    expect(page.locator(".diff-add")).to_have_text("+ 6")
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    page.locator("h1").click()
    for key in "abcdehijklmnopqrsuvwxyz0123456789+-":
        page.keyboard.press(key)
    page.keyboard.press("Control+k")
    page.get_by_role("dialog", name="Search").get_by_role("searchbox").fill("scale checkout")
    page.keyboard.press("Enter")
    expect(page).not_to_have_url(re.compile("execute"))
    assert posted == []
    assert cluster.replicas == 3


def test_a_viewer_follows_but_cannot_press(visit, served):
    page = visit(NEW)
    plan(page, 6)
    expect(page.locator(".diff-add")).to_have_text("+ 6")
    viewer = visit(page.url.removeprefix(served.url), as_="bob")
    expect(viewer.locator(".action-form").get_by_role("button")).to_have_attribute("aria-disabled", "true")
    page.get_by_role("button", name="Cancel").click()
    expect(viewer.locator(".state-line")).to_contain_text("Cancelled, nothing was changed")
