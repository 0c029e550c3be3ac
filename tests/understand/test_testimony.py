from __future__ import annotations

from datetime import timedelta

import pytest

from app.model.fleet import Freshness, SourceStatus
from app.understand.testimony import is_fresh
from tests.support.fleets import MINUTE, NOON

SECOND = timedelta(seconds=1)


def holds(age: timedelta, status: SourceStatus | None) -> bool:
    state = None if status is None else Freshness("demo/kubernetes", NOON - age, status)
    return is_fresh(NOON - age, MINUTE, state, NOON)


@pytest.mark.parametrize(
    ("age", "status", "fresh"),
    [
        (119 * SECOND, SourceStatus.OK, True),
        (121 * SECOND, SourceStatus.OK, False),
        (9 * SECOND, SourceStatus.DOWN, True),
        (11 * SECOND, SourceStatus.DOWN, False),
        (119 * SECOND, None, True),
    ],
)
def test_one_missed_pull_is_no_silence_and_two_windows_are(age, status, fresh):
    assert holds(age, status) is fresh


def test_a_late_source_stays_stale_although_its_snapshot_is_written_anew():
    assert {holds(age * SECOND, SourceStatus.LATE) for age in range(0, 40, 5)} == {False}
