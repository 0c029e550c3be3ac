"""A whole application over a seeded store, asked without a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.html import Page
from tests.support.shown import seed
from tests.support.web import Site, make_site


@pytest.fixture
def empty_site(tmp_path: Path) -> Site:
    return make_site(tmp_path, blueprints=None, own_templates=False)


@pytest.fixture
def site(empty_site: Site) -> Site:
    seed(empty_site.store)
    return empty_site


@pytest.fixture
def get(site: Site) -> Callable[..., Page]:
    """Fetch a page as somebody and read it; the markup must be sound."""
    return reader_of(site)


@pytest.fixture
def get_empty(empty_site: Site) -> Callable[..., Page]:
    return reader_of(empty_site)


def reader_of(site: Site) -> Callable[..., Page]:
    def fetch(path: str, *, as_: str = "bob", status: int = 200) -> Page:
        answer = site.client(as_).get(path, headers={"Accept": "text/html"})
        assert answer.status_code == status, answer.get_data(as_text=True)[:600]
        page = Page(answer.get_data(as_text=True))
        assert page.faults == []
        return page

    return fetch
