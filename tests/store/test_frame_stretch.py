"""Changes of versions as the stored minutes saw them, and when a window first had another version."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.model.series import Window
from app.store import frames
from app.store.engine import Store
from app.store.frame_stretch import VersionChange, stretch, version_changes
from tests.support.factories import MINUTE, NOON, make_frame

NODE = "demo:shop:payment"
OTHER = "demo:shop:order"


def keep(store: Store, *told: str, node: str = NODE, first: int = 0) -> None:
    """One minute per text of versions; "" = nothing known, "-" = the minute is missing."""
    with store.begin() as session:
        for i, versions in enumerate(told, first):
            if versions == "-":
                continue
            frame = make_frame(NOON + i * MINUTE, {node: 600.0})
            attributes = {
                node: {"name": node.rpartition(":")[2]} | ({"versions": versions} if versions else {})
            }
            frames.write(session, replace(frame, attributes=attributes))


def changes(store: Store, minutes: int = 60) -> list[VersionChange]:
    with store.reading() as session:
        return version_changes(session, "demo", Window(NOON, NOON + minutes * MINUTE))


def change(minute: int, before: str, after: str) -> VersionChange:
    return VersionChange(NOON + minute * MINUTE, NODE, before, after)


def test_the_first_version_after_a_time_of_which_none_is_known_is_no_change(store: Store):
    keep(store, "", "", "", "4.1.2", "4.1.2")
    assert changes(store) == []


def test_a_rollout_that_was_under_way_when_versions_were_first_seen_is_no_change(store: Store):
    keep(store, "", "4.1.1,4.1.2", "4.1.2")
    assert changes(store) == []


def test_a_window_that_begins_with_a_version_does_not_take_it_for_new(store: Store):
    keep(store, "4.1.1", "4.1.2", "4.1.2", "4.1.2")
    with store.reading() as session:
        assert version_changes(session, "demo", Window(NOON + MINUTE, NOON + 60 * MINUTE)) == []


def test_a_version_of_a_service_that_was_not_there_before_is_no_change(store: Store):
    keep(store, "4.1.2", "4.1.2", node=OTHER)
    keep(store, "1.0.0", "1.0.0", first=2)
    assert changes(store) == []


def test_a_change_is_told_at_the_start_of_the_minute_that_saw_it(store: Store):
    keep(store, "4.1.1", "4.1.1", "4.1.2", "4.1.2")
    assert changes(store) == [change(2, "4.1.1", "4.1.2")]


def test_a_rolling_update_is_one_change_that_begins_with_old_and_new_beside_each_other(store: Store):
    keep(store, "4.1.1", "4.1.1,4.1.2", "4.1.1,4.1.2", "4.1.2")
    assert changes(store) == [change(1, "4.1.1", "4.1.2")]


def test_an_update_that_is_still_under_way_is_not_told_yet(store: Store):
    keep(store, "4.1.1", "4.1.1", "4.1.1,4.1.2")
    assert changes(store) == []


def test_an_update_that_is_taken_back_before_it_ends_is_none(store: Store):
    keep(store, "4.1.1", "4.1.1,4.1.2", "4.1.1", "4.1.1")
    assert changes(store) == []


def test_a_rollback_is_a_change_too_and_the_newest_comes_first(store: Store):
    keep(store, "4.1.1", "4.1.2", "4.1.2", "4.1.2,4.1.1", "4.1.1")
    assert changes(store) == [change(3, "4.1.2", "4.1.1"), change(1, "4.1.1", "4.1.2")]


@pytest.mark.parametrize("between", ["", "-"])
def test_minutes_without_versions_do_not_make_the_same_version_new_nor_hide_another(
    store: Store, between: str
):
    keep(store, "4.1.1", between, "4.1.1", between, "4.1.2")
    assert changes(store) == [change(4, "4.1.1", "4.1.2")]


def test_a_window_tells_the_start_of_its_first_minute_with_another_version(store: Store):
    keep(store, "4.1.1", "4.1.1", "4.1.1,4.1.2", "4.1.2")
    with store.reading() as session:
        kept = stretch(session, "demo", Window(NOON, NOON + 4 * MINUTE))
    assert kept is not None
    assert kept.versions_since(NODE, "4.1.1") == NOON + 2 * MINUTE
    assert kept.versions_since(NODE, "4.1.2") == NOON
    assert kept.versions_since("demo:shop:nobody", "4.1.1") is None
