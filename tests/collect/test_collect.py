"""What becomes of a look: snapshots, freshness, one line down and one up, and when to look again."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from app import collect
from app.config import Cluster, Config, Kubernetes, Prometheus, TraceBackend
from app.errors import SourceError, SourceNonsense, SourceRefused, SourceStarting, SourceUnavailable
from app.model.fleet import Freshness, Snapshot, SourceStatus
from app.model.inventory import Inventory, Workload
from app.model.series import Window
from app.store import snapshots, sources
from app.store.engine import Store
from collectors.base import Collector
from tests.support.until import until

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Scripted:
    """A collector that says what the test told it to say."""

    kind: ClassVar[str] = "prometheus"
    cost: ClassVar[str] = "numbers"

    def __init__(self, cluster: str = "c1", name: str = "prometheus") -> None:
        self.cluster = cluster
        self.name = name
        self.error: Exception | None = None
        self.inventory: Inventory | None = None
        self.windows: list[Window] = []
        self.started = self.closed = 0

    def pull(self, window: Window) -> Snapshot:
        self.windows.append(window)
        if self.error is not None:
            raise self.error
        return Snapshot(self.cluster, self.name, window.end, inventory=self.inventory)

    def start(self) -> None:
        self.started += 1

    def close(self) -> None:
        self.closed += 1


class Watched(Scripted):
    kind: ClassVar[str] = "kubernetes"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store("sqlite:///store.db", tmp_path)
    made.migrate()
    yield made
    made.dispose()


def _state(store: Store, source: str = "c1/prometheus") -> Freshness:
    with store.reading() as session:
        return next(one for one in sources.all_sources(session) if one.source == source)


def _kept(store: Store, source: str = "prometheus") -> Snapshot | None:
    with store.reading() as session:
        return snapshots.get(session, "c1", source)


def _lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(r.levelname, r.getMessage()) for r in caplog.records if r.levelno >= logging.INFO]


def test_a_look_is_kept_and_its_freshness_written(store: Store) -> None:
    source = Scripted()
    assert collect.run_once(store, source, NOON) is not None
    assert _kept(store) == Snapshot("c1", "prometheus", NOON)
    assert (_state(store).status, _state(store).as_of, _state(store).cost) == (
        SourceStatus.OK,
        NOON,
        "numbers",
    )
    assert source.windows == [Window(NOON - 60 * SECOND, NOON)]


def test_unreachable_source_keeps_the_last_snapshot_and_says_its_age(store: Store) -> None:
    source = Scripted()
    collect.run_once(store, source, NOON)
    source.error = SourceUnavailable("nobody answered")
    assert collect.run_once(store, source, NOON + 30 * SECOND) is None
    state = _state(store)
    assert _kept(store) == Snapshot("c1", "prometheus", NOON)
    assert (state.status, state.as_of, state.since) == (SourceStatus.DOWN, NOON, NOON + 30 * SECOND)
    assert state.error == "nobody answered"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SourceUnavailable("x"), SourceStatus.DOWN),
        (SourceStarting("x"), SourceStatus.STARTING),
        (SourceRefused("x"), SourceStatus.REFUSED),
        (SourceNonsense("x"), SourceStatus.NONSENSE),
        (ZeroDivisionError("a fault of ours"), SourceStatus.NONSENSE),
    ],
)
def test_every_failure_has_its_status(store: Store, error: Exception, status: SourceStatus) -> None:
    source = Scripted()
    source.error = error
    collect.run_once(store, source, NOON)
    assert _state(store).status is status


def test_an_outage_writes_one_line_down_and_one_line_up(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "quarterdeck")
    source = Scripted()
    collect.run_once(store, source, NOON)
    failures: list[SourceError] = [
        SourceUnavailable("refused"),
        SourceUnavailable("reset"),
        SourceNonsense("html"),
    ]
    for i, error in enumerate([*failures, SourceStarting("replaying")]):
        source.error = error
        collect.run_once(store, source, NOON + (i + 1) * 60 * SECOND)
    source.error = None
    for minute in (5, 6):
        collect.run_once(store, source, NOON + minute * 60 * SECOND)
    assert _lines(caplog) == [
        ("WARNING", "c1/prometheus is down: refused; its last word is 60 s old"),
        ("INFO", "c1/prometheus answers again after 60 s"),
    ]


def test_a_source_that_is_only_starting_is_no_alarm(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "quarterdeck")
    source = Scripted()
    source.error = SourceStarting("still listing")
    collect.run_once(store, source, NOON)
    assert _lines(caplog) == []


def test_one_source_that_fails_does_not_keep_another_from_being_asked(store: Store) -> None:
    broken, well, elsewhere = Scripted(name="a"), Scripted(name="b"), Scripted(cluster="c2")
    broken.error = SourceUnavailable("x")
    collectors: list[Collector] = [broken, well, elsewhere]
    assert collect.look(store, collectors, "c1", NOON) == 1
    assert (len(broken.windows), len(well.windows), len(elsewhere.windows)) == (1, 1, 0)


def test_watching_sources_are_not_polled(store: Store) -> None:
    watched = Watched(name="kubernetes")
    assert collect.look(store, [watched], "c1", NOON) == 0
    assert watched.windows == []


def _asked(status: SourceStatus, minutes: int, interval: int = 15) -> list[datetime]:
    state = Freshness("c1/prometheus", None, status, NOON)
    ticks = [NOON + i * interval * SECOND for i in range(minutes * 60 // interval)]
    return [tick for tick in ticks if collect.is_due(state, tick, interval * SECOND)]


def test_a_silent_source_is_asked_ever_more_rarely_but_at_least_every_minute() -> None:
    asked = _asked(SourceStatus.DOWN, 60)
    gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(asked)]
    assert gaps[0] == 15
    assert max(gaps) <= 75
    assert 60 in gaps
    assert len(asked) < 80
    assert _asked(SourceStatus.DOWN, 60, interval=60)


def test_a_source_that_is_well_is_asked_at_every_tick() -> None:
    assert len(_asked(SourceStatus.OK, 10)) == 40
    assert len(_asked(SourceStatus.LATE, 10)) == 40


def test_sources_that_fail_together_return_at_different_moments() -> None:
    at = NOON + timedelta(hours=1)
    states = [Freshness(f"c{i}/prometheus", None, SourceStatus.DOWN, NOON) for i in range(200)]
    share = [sum(collect.is_due(s, at + i * 5 * SECOND, 5 * SECOND) for s in states) for i in range(12)]
    assert max(share) < 100


def test_ticks_stand_on_whole_intervals_of_the_wall_clock() -> None:
    assert collect.next_tick(NOON + 7 * SECOND, 15 * SECOND) == NOON + 15 * SECOND
    assert collect.next_tick(NOON + 15 * SECOND, 15 * SECOND) == NOON + 30 * SECOND


def test_an_inventory_without_changes_is_not_written_again_at_once(store: Store) -> None:
    source = Watched(name="kubernetes")
    workloads = (Workload("shop", "Deployment", "order", "u", "1", 1, 1),)
    source.inventory = Inventory(workloads=workloads)
    first = collect.run_once(store, source, NOON)
    source.inventory = Inventory(workloads=workloads, kinds=(("Pod", NOON, True),))
    second = collect.run_once(store, source, NOON + 5 * SECOND, previous=first)
    kept = _kept(store, "kubernetes")
    assert kept is not None
    assert kept.as_of == NOON
    assert _state(store, "c1/kubernetes").as_of == NOON + 5 * SECOND
    collect.run_once(store, source, NOON + 31 * SECOND, previous=second)
    kept = _kept(store, "kubernetes")
    assert kept is not None
    assert kept.as_of == NOON + 31 * SECOND


def test_a_kind_that_fell_silent_makes_the_source_late_with_its_last_good_age(store: Store) -> None:
    source = Watched(name="kubernetes")
    source.inventory = Inventory(kinds=(("Pod", NOON, True), ("Deployment", NOON, True)))
    collect.run_once(store, source, NOON + 10 * SECOND)
    later = NOON + 120 * SECOND
    source.inventory = Inventory(kinds=(("Pod", NOON, True), ("Deployment", later, True)))
    collect.run_once(store, source, later)
    state = _state(store, "c1/kubernetes")
    assert (state.status, state.as_of) == (SourceStatus.LATE, NOON + 10 * SECOND)
    assert state.error is not None
    assert "Pod was last heard of at 12:00:00 UTC" in state.error


def test_quiet_events_do_not_make_a_source_late(store: Store) -> None:
    source = Watched(name="kubernetes")
    source.inventory = Inventory(kinds=(("Event", NOON, True),))
    collect.run_once(store, source, NOON + 300 * SECOND)
    assert _state(store, "c1/kubernetes").status is SourceStatus.OK


def test_the_configuration_says_which_collectors_there_are(tmp_path: Path) -> None:
    config = Config(
        clusters=(
            Cluster(
                name="a",
                prometheus=Prometheus(url="http://127.0.0.1:1"),
                kubernetes=Kubernetes(kubeconfig=tmp_path / "k"),
            ),
            Cluster(
                name="b",
                prometheus=Prometheus(url="http://127.0.0.1:2"),
                traces=(TraceBackend(kind="tempo", url="http://127.0.0.1:3"),),
            ),
            Cluster(name="c", prometheus=Prometheus(url="http://127.0.0.1:4")),
        )
    )
    made = collect.build(config, collect.otlp_collectors(config))
    assert [(one.cluster, one.kind) for one in made] == [
        ("a", "prometheus"),
        ("a", "kubernetes"),
        ("b", "prometheus"),
        ("c", "prometheus"),
        ("a", "otlp"),
        ("b", "otlp"),
        ("b", "tempo"),
    ]
    assert collect.otlp_collectors(Config()) == []


def test_watching_carries_watched_sources_to_the_store_and_ends(store: Store) -> None:
    source = Watched(name="kubernetes")
    watching = collect.Watching(Config(), store, [source])
    watching.start()
    until(lambda: _state(store, "c1/kubernetes").status is SourceStatus.OK)
    watching.stop()
    assert source.started == 1
    assert source.closed >= 1


def test_the_watches_of_a_cluster_are_held_by_one_process(store: Store) -> None:
    first, second = Watched(name="kubernetes"), Watched(name="kubernetes")
    one = collect.Watching(Config(), store, [first], lease=True)
    one.start()
    until(lambda: first.windows)
    other = collect.Watching(Config(), store, [second], lease=True)
    other.start()
    until(lambda: len(first.windows) >= 2, seconds=20)
    assert second.windows == []
    other.stop()
    one.stop()
