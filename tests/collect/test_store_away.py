"""A store that does not answer for a while: told once when it begins and once when it is over."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from app import act, collect
from app.config import Config
from app.errors import StoreUnavailable
from app.model.fleet import Snapshot
from app.model.series import Window
from app.store.engine import Store
from tests.support.until import until


class Flaky(Store):
    """A store that is away while a test says so; `refused` counts what it was asked then."""

    away = False
    refused = 0

    @contextmanager
    def begin(self) -> Iterator[Any]:
        self._ask()
        with super().begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Any]:
        self._ask()
        with super().reading() as session:
            yield session

    def _ask(self) -> None:
        if self.away:
            self.refused += 1
            raise StoreUnavailable("the database is locked")


class Busy:
    """A watched source that is carried ten times a second."""

    kind: ClassVar[str] = "kubernetes"
    cost: ClassVar[str] = "pods"
    cluster, name = "c1", "kubernetes"
    settings = SimpleNamespace(interval=timedelta(milliseconds=100))

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass

    def pull(self, window: Window) -> Snapshot:
        return Snapshot(self.cluster, self.name, window.end)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Flaky]:
    made = Flaky("sqlite:///store.db", tmp_path)
    made.migrate()
    yield made
    made.dispose()


def _told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (one.levelname, one.getMessage())
        for one in caplog.records
        if one.levelno >= logging.INFO and "the store" in one.getMessage()
    ]


def test_sources_are_carried_on_when_the_store_is_back(
    store: Flaky, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "quarterdeck.collect")
    watching = collect.Watching(Config(), store, [Busy()])
    store.away = True
    watching.start()
    until(lambda: store.refused >= 3)
    store.away = False
    until(lambda: len(_told(caplog)) == 2)
    watching.stop()
    (down, up) = _told(caplog)
    assert down[0] == "WARNING"
    assert down[1] == "the store is away, sources are not carried to it: the database is locked"
    assert up[0] == "INFO"
    assert up[1].startswith("the store answers again after ")
    assert not any(one.exc_info for one in caplog.records)


def test_a_round_of_actions_waits_for_the_store(store: Flaky, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "quarterdeck.act")
    store.away = True
    for _ in range(3):
        act.follow_all(store, Config())
    store.away = False
    for _ in range(2):
        act.follow_all(store, Config())
    assert [level for level, _ in _told(caplog)] == ["WARNING", "INFO"]
