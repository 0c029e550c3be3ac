from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from app.errors import StoreError
from app.model.series import BUCKETS, Window
from app.store import frames
from app.store.engine import Store
from app.store.frame_blob import decode_names, decode_stored, encode_frame
from app.store.frame_merge import merge
from tests.support.factories import MINUTE, NOON, make_frame

HOUR = timedelta(hours=1)
EDGE = "demo:shop:order>demo:shop:payment"
NODE = "demo:shop:order"


@dataclass(frozen=True)
class Kept:
    minute: timedelta = timedelta(hours=48)
    ten_minutes: timedelta = timedelta(days=14)
    hour: timedelta = timedelta(days=400)


def fill(store: Store, minutes: int, start=NOON, **over) -> None:
    with store.begin() as session:
        for i in range(minutes):
            frames.write(
                session, make_frame(start + i * MINUTE, {NODE: float(i)}, {EDGE: float(2 * i)}, **over)
            )


def tend(store: Store, now, kept=None) -> None:
    with store.begin() as session:
        frames.roll_up(session, "demo", now)
        frames.compact(session, "demo", now)
        if kept:
            frames.forget(session, now, kept)


def line(store: Store, window: Window, step=MINUTE, name=EDGE):
    with store.reading() as session:
        found = frames.series(session, "demo", [name], window, step)
    return found, found.lines[name]


def test_a_moment_is_answered_by_its_minute_from_one_row(store: Store):
    fill(store, 3)
    with store.reading() as session:
        found = frames.at(session, "demo", NOON + timedelta(seconds=90))
    assert found.start == NOON + MINUTE
    assert found.edge_ids == (EDGE,)
    assert found.edge_requests.tolist() == [2.0]
    assert found.node_health == ("healthy",)
    assert found.attributes == {NODE: {"kind": "service"}}


def test_topology_at_a_moment_costs_one_statement_once_the_names_are_known(store: Store):
    fill(store, 3)
    statements = []
    event.listen(store.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    for _ in range(2):
        statements.clear()
        with store.reading() as session:
            frames.at(session, "demo", NOON)
    assert len([sql for sql in statements if sql.startswith("SELECT")]) == 1


def test_the_running_minute_is_answered_by_the_last_full_one(store: Store):
    fill(store, 3)
    with store.reading() as session:
        assert frames.at(session, "demo", NOON + 3.5 * MINUTE).start == NOON + 2 * MINUTE


def test_where_nobody_looked_there_is_no_frame(store: Store):
    fill(store, 3)
    with store.reading() as session:
        assert frames.at(session, "demo", NOON - MINUTE) is None
        assert frames.at(session, "demo", NOON + HOUR) is None
        assert frames.at(session, "other", NOON) is None
        assert frames.merged(session, "demo", Window(NOON - HOUR, NOON)) is None
        assert frames.latest_start(session, "other") is None


def test_a_frame_that_is_no_full_minute_is_refused(store: Store):
    for bad in (make_frame(NOON + timedelta(seconds=1)), make_frame(length=timedelta(seconds=90))):
        with pytest.raises(StoreError), store.begin() as session:
            frames.write(session, bad)


def test_a_minute_written_again_replaces_the_first(store: Store):
    fill(store, 1)
    with store.begin() as session:
        frames.write(session, make_frame(NOON, {NODE: 5.0}, {EDGE: 6.0}))
    with store.reading() as session:
        assert frames.at(session, "demo", NOON).edge_requests.tolist() == [6.0]


def test_a_window_is_the_sum_of_its_minutes_and_tells_how_long_they_are(store: Store):
    fill(store, 10)
    with store.reading() as session:
        found = frames.merged(session, "demo", Window(NOON + 2 * MINUTE, NOON + 5 * MINUTE))
    assert found.edge_requests.tolist() == [2.0 * (2 + 3 + 4)]
    assert found.length == 3 * MINUTE
    assert found.edge_latency[0, 40] == 18.0


def test_a_window_that_ends_within_a_minute_ends_with_the_last_full_one(store: Store):
    fill(store, 10)
    with store.reading() as session:
        found = frames.merged(session, "demo", Window(NOON + 2.5 * MINUTE, NOON + 5.5 * MINUTE))
    assert found.node_requests.tolist() == [2.0 + 3 + 4]


def test_gaps_are_not_counted_as_covered_time(store: Store):
    fill(store, 2)
    fill(store, 2, start=NOON + 5 * MINUTE)
    with store.reading() as session:
        found = frames.merged(session, "demo", Window(NOON, NOON + 7 * MINUTE))
        assert found.length == 4 * MINUTE
        assert frames.missing(session, "demo", Window(NOON, NOON + 8 * MINUTE)) == [
            Window(NOON + 2 * MINUTE, NOON + 5 * MINUTE),
            Window(NOON + 7 * MINUTE, NOON + 8 * MINUTE),
        ]


def test_unknown_minutes_do_not_make_a_sum_unknown_but_all_unknown_stays_unknown(store: Store):
    with store.begin() as session:
        frames.write(session, make_frame(NOON, {"a": 5.0, "b": np.nan}, {}))
        frames.write(session, make_frame(NOON + MINUTE, {"a": np.nan, "b": np.nan}, {}))
    with store.reading() as session:
        found = frames.merged(session, "demo", Window(NOON, NOON + 2 * MINUTE))
    assert found.node_requests[0] == 5.0
    assert np.isnan(found.node_requests[1])


def test_the_worst_health_of_a_window_is_kept(store: Store):
    with store.begin() as session:
        frames.write(session, make_frame(NOON, node_health=("failing",)))
        frames.write(session, make_frame(NOON + MINUTE, node_health=("healthy",)))
    with store.reading() as session:
        assert frames.merged(session, "demo", Window(NOON, NOON + 2 * MINUTE)).node_health == ("failing",)


@pytest.mark.parametrize("prepare", ["minutes", "rollups and chunks", "rollups only"])
def test_every_tier_gives_the_same_counts(store: Store, prepare: str):
    fill(store, 130)
    end = NOON + 130 * MINUTE
    if prepare != "minutes":
        tend(store, end)
    if prepare == "rollups only":
        tend(store, end + timedelta(days=3), Kept())
    window = Window(NOON, NOON + 120 * MINUTE)
    with store.reading() as session:
        whole = frames.merged(session, "demo", window)
    points, lines = line(store, window, timedelta(minutes=10))
    assert whole.edge_requests.tolist() == [2.0 * sum(range(120))]
    assert whole.length == 2 * HOUR
    assert lines.requests.tolist() == [2.0 * sum(range(i, i + 10)) for i in range(0, 120, 10)]
    assert lines.latency[:, 40].tolist() == lines.requests.tolist()
    assert points.times[1] == NOON + 10 * MINUTE


def test_chunks_answer_lines_exactly_as_minutes_do(store: Store):
    fill(store, 130)
    window = Window(NOON + 3 * MINUTE, NOON + 125 * MINUTE)
    _, before = line(store, window)
    tend(store, NOON + 130 * MINUTE)
    with store.begin() as session:
        kept = session.scalar(text("SELECT count(*) FROM frame_chunks WHERE minutes = 60"))
    _, after = line(store, window)
    assert kept == 2
    assert before.requests.tolist() == [2.0 * i for i in range(3, 125)]
    assert np.array_equal(before.requests, after.requests)
    assert np.array_equal(before.failed, after.failed)
    assert np.array_equal(before.latency, after.latency)


def test_a_line_over_a_gap_is_unknown_there_and_never_zero(store: Store):
    fill(store, 2)
    fill(store, 1, start=NOON + 4 * MINUTE)
    _, found = line(store, Window(NOON, NOON + 5 * MINUTE), name=NODE)
    assert np.isnan(found.requests).tolist() == [False, False, True, True, False]
    _, nobody = line(store, Window(NOON, NOON + 5 * MINUTE), name="demo:shop:nobody")
    assert np.isnan(nobody.requests).all()


def test_a_fine_step_over_old_time_is_widened_to_what_is_kept(store: Store):
    fill(store, 60)
    tend(store, NOON + timedelta(days=3), Kept())
    found, lines = line(store, Window(NOON, NOON + HOUR))
    assert found.step == timedelta(minutes=10)
    assert lines.requests.sum() == 2.0 * sum(range(60))


def test_lines_of_many_ids_without_latency_agree_with_single_ones(store: Store):
    names = {f"demo:shop:s{i}": float(i) for i in range(50)}
    with store.begin() as session:
        for i in range(60):
            frames.write(session, make_frame(NOON + i * MINUTE, names, {}))
    tend(store, NOON + HOUR)
    window = Window(NOON, NOON + HOUR)
    with store.reading() as session:
        many = frames.series(session, "demo", names, window, 10 * MINUTE, latency=False)
    for name, count in names.items():
        assert many.lines[name].requests.tolist() == [10 * count] * 6
        assert not many.lines[name].latency.any()
        assert line(store, window, 10 * MINUTE, name)[1].requests.tolist() == [10 * count] * 6


def test_rollups_wait_until_their_stretch_is_over(store: Store):
    fill(store, 9)
    with store.begin() as session:
        assert frames.roll_up(session, "demo", NOON + 9 * MINUTE) == 0
        assert frames.roll_up(session, "demo", NOON + 10 * MINUTE) == 1
        assert frames.roll_up(session, "demo", NOON + 10 * MINUTE) == 0


def test_a_minute_that_comes_late_or_again_is_rolled_up_and_compacted_once_more(store: Store):
    fill(store, 50)
    tend(store, NOON + 2 * HOUR)
    with store.begin() as session:
        frames.write(session, make_frame(NOON + 55 * MINUTE, {NODE: 1.0}, {EDGE: 1_000.0}))
        frames.write(session, make_frame(NOON, {NODE: 1.0}, {EDGE: 500.0}))
    tend(store, NOON + 2 * HOUR)
    tend(store, NOON + timedelta(days=60), Kept())
    with store.reading() as session:
        found = frames.merged(session, "demo", Window(NOON, NOON + HOUR))
    assert found.edge_requests.tolist() == [2.0 * sum(range(50)) + 1_000 + 500]


def test_a_minute_back_filled_into_forgotten_time_does_not_destroy_the_rollup(store: Store):
    fill(store, 60)
    later = NOON + timedelta(days=3)
    tend(store, later, Kept())
    with store.begin() as session:
        frames.write(session, make_frame(NOON, {NODE: 1.0}, {EDGE: 1.0}))
    tend(store, later, Kept())
    with store.reading() as session:
        assert frames.merged(session, "demo", Window(NOON, NOON + HOUR)).edge_requests.tolist() == [
            2.0 * sum(range(60))
        ]


def test_each_tier_is_forgotten_at_its_age_and_unused_names_with_it(store: Store):
    fill(store, 60)

    def tiers() -> list[int]:
        with store.reading() as session:
            return list(session.scalars(text("SELECT DISTINCT tier FROM frames ORDER BY tier")))

    tend(store, NOON + timedelta(hours=47), Kept())
    assert tiers() == [60, 600, 3600]
    tend(store, NOON + timedelta(hours=50), Kept())
    assert tiers() == [600, 3600]
    tend(store, NOON + timedelta(days=16), Kept())
    assert tiers() == [3600]
    tend(store, NOON + timedelta(days=420), Kept())
    assert tiers() == []
    with store.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM frame_names")) == 0
        assert session.scalar(text("SELECT count(*) FROM frame_chunks")) == 0


def test_an_hour_of_an_old_day_is_answered_by_the_hour_frame_that_holds_it(store: Store):
    fill(store, 60)
    tend(store, NOON + timedelta(days=20), Kept())
    with store.reading() as session:
        assert frames.at(session, "demo", NOON + 31 * MINUTE).length == HOUR
        part = frames.merged(session, "demo", Window(NOON + 10 * MINUTE, NOON + 20 * MINUTE))
    assert (part.start, part.length) == (NOON, HOUR)


def test_clusters_do_not_mix(store: Store):
    fill(store, 3)
    with store.begin() as session:
        frames.write(session, make_frame(NOON, {"x": 9.0}, {}, cluster="other"))
    with store.reading() as session:
        assert frames.at(session, "other", NOON).node_ids == ("x",)
        assert frames.at(session, "demo", NOON).node_ids == (NODE,)


COUNTS = st.dictionaries(
    st.sampled_from("abcdef"), st.integers(0, 10**9).map(float) | st.just(float("nan")), max_size=6
)


@given(st.lists(COUNTS, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_adding_frames_is_exact_for_any_counts_and_names(minutes):
    stored = []
    for i, counts in enumerate(minutes):
        _, names, body = encode_frame(make_frame(NOON + i * MINUTE, counts, {}))
        stored.append((decode_stored(body), decode_names(names)))
    total = merge(stored)
    for row, name in enumerate(total.names.node_ids):
        known = [counts[name] for counts in minutes if name in counts and not np.isnan(counts[name])]
        assert (
            total.stored.nodes.requests[row] == sum(known)
            if known
            else np.isnan(total.stored.nodes.requests[row])
        )
        assert total.stored.nodes.latency()[row, 40] == sum(known)
    assert set(total.names.node_ids) == set().union(*minutes)


def test_histograms_of_all_buckets_survive_store_and_sum(store: Store):
    latency = np.arange(BUCKETS, dtype=np.float64)[None, :]
    with store.begin() as session:
        for i in range(10):
            frames.write(session, replace(make_frame(NOON + i * MINUTE), node_latency=latency))
    tend(store, NOON + HOUR)
    with store.reading() as session:
        found = frames.merged(session, "demo", Window(NOON, NOON + 10 * MINUTE))
    assert np.array_equal(found.node_latency, 10 * latency)
