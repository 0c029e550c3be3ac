"""A seeded application in a thread on 127.0.0.1, and Chromium to look at it.

Every page opened through `visit` fails its test at the end when the browser reported a violation of the
content security policy or an error on its console.
"""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from werkzeug.serving import WSGIRequestHandler, make_server

from app.config import Server
from tests.support.shown import seed
from tests.support.web import Site, make_site

CHROMIUM = "/usr/bin/chromium"
AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

_LISTEN = """
document.addEventListener("securitypolicyviolation", (event) =>
  qdViolation(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile ?? ""}:${event.lineNumber}`));
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/e2e" in item.path.as_posix():
            item.add_marker(pytest.mark.e2e)


expect.set_options(timeout=15_000)  # a busy machine is late, not wrong


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    assert shutil.which(CHROMIUM), "Chromium is missing: apt-get install chromium"
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb"]
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": flags}


class Quiet(WSGIRequestHandler):
    """Requests are not written to the terminal."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        pass


@dataclass
class Served:
    """A site with its address. `answers` (path -> status, headers, body) come before the application's."""

    site: Site
    url: str
    answers: dict[str, tuple[int, dict[str, str], str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        path = environ["PATH_INFO"]
        if path.startswith("/fragments/"):
            self.asked.append(path)
        if path not in self.answers:
            return self.site.app(environ, start_response)
        status, headers, body = self.answers[path]
        build = {"X-QD-Build": self.site.parts.build, "Content-Type": "text/html"}
        start_response(f"{status} Because", list({**build, **headers}.items()))
        return [body.encode()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(place: Path, **over: Any) -> Iterator[Served]:
    """An application with users and nothing else in a thread; `over` replaces sections of its configuration."""
    port = free_port()
    listening = replace(Server(), listen=f"127.0.0.1:{port}")
    site = make_site(place, blueprints=None, own_templates=False, **({"server": listening} | over))
    served = Served(site, f"http://127.0.0.1:{port}")
    server = make_server("127.0.0.1", port, served, threaded=True, request_handler=Quiet)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield served
    site.parts.live.close()
    server.shutdown()
    thread.join()
    server.server_close()
    site.store.dispose()


@pytest.fixture
def empty_served(tmp_path: Path) -> Iterator[Served]:
    """An application with users and nothing else."""
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def served(empty_served: Served) -> Served:
    """The same with the shop in it."""
    seed(empty_served.site.store)
    return empty_served


@dataclass
class Visitor:
    """Opens pages as one of the cast; `expected` are beginnings of console errors that belong to the test."""

    browser: Browser
    served: Served
    contexts: list[BrowserContext] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def __call__(
        self,
        path: str = "/",
        *,
        as_: str | None = "alice",
        theme: Any = "light",
        size: tuple[int, int] = (1280, 900),
        scripts: bool = True,
        prefs: str = "",
    ) -> Page:
        context = self.browser.new_context(
            base_url=self.served.url,
            viewport={"width": size[0], "height": size[1]},
            color_scheme=theme,
            reduced_motion="reduce",
            java_script_enabled=scripts,
            timezone_id="UTC",
            locale="en-GB",
        )
        context.set_default_timeout(8_000)
        self.contexts.append(context)
        if as_ is not None:
            secret, _ = self.served.site.sign_in(as_)
            context.add_cookies([self._cookie("qd_dev", secret)])
        if prefs:
            context.add_cookies([self._cookie("qd_prefs", prefs)])
        if scripts:
            context.expose_function("qdViolation", lambda text: self.violations.append(text))
            context.add_init_script(_LISTEN)
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(path)
        return page

    def _cookie(self, name: str, value: str) -> Any:
        return {"name": name, "value": value, "url": self.served.url}

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(tuple(self.expected) or ("\0",)):
            self.errors.append(message.text)

    def close(self) -> None:
        for context in self.contexts:
            context.close()


def _visitor(browser: Browser, served: Served) -> Iterator[Visitor]:
    visitor = Visitor(browser, served)
    yield visitor
    visitor.close()
    assert visitor.violations == [], "the content security policy was violated"
    assert visitor.errors == [], "the console told errors"


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Visitor]:
    """`visit(path, as_="alice", theme="dark", size=(390, 844), scripts=False) -> Page`."""
    yield from _visitor(browser, served)


@pytest.fixture
def visit_empty(browser: Browser, empty_served: Served) -> Iterator[Visitor]:
    yield from _visitor(browser, empty_served)


@pytest.fixture(scope="session")
def axe() -> Callable[[Page], list[str]]:
    """Findings of axe for WCAG 2.2 AA, one line each; empty = none."""
    assert AXE.is_file(), "axe-core is missing: make vendor"
    source = AXE.read_text()

    def look(page: Page) -> list[str]:
        page.evaluate(source)
        found = page.evaluate("(tags) => axe.run(document, {runOnly: tags})", TAGS)
        nodes = [(one["id"], node) for one in found["violations"] for node in one["nodes"]]
        return [f"{name}: {node['target']} {node['failureSummary']}" for name, node in nodes]

    return look
