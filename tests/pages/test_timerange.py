from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.errors import BadInput
from app.pages.timerange import parse

NOW = datetime(2026, 11, 23, 10, 41, 20, tzinfo=UTC)


def at(start: str = "", end: str = "", moment: str = "", zone: str = "UTC"):
    return parse(start, end, moment, zone, now=NOW)


def test_nothing_asked_is_the_last_hour_and_live():
    found = at()
    assert (found.start, found.end, found.frozen, found.moment) == (
        NOW - timedelta(hours=1),
        NOW,
        False,
        None,
    )
    assert found.words == "Last 1 h"


def test_an_absolute_end_freezes_the_page():
    found = at("2026-11-23T09:00:00Z", "2026-11-23T10:00:00+00:00")
    assert found.frozen
    assert found.moment == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert found.words == "23 Nov 09:00 – 23 Nov 10:00"


def test_at_freezes_and_moves_the_range_to_its_end():
    found = at(moment="2026-11-23T09:00:00Z")
    assert found.frozen
    assert found.window.seconds == 3600
    assert found.end == datetime(2026, 11, 23, 9, tzinfo=UTC)


def test_a_time_without_a_zone_is_read_in_the_viewers():
    assert at("2026-11-23T10:00:00", "2026-11-23T11:00:00", zone="Europe/Berlin").start.hour == 9


@pytest.mark.parametrize(
    ("texts", "field"),
    [
        (("yesterday", "now"), "from"),
        (("now-1h", "later"), "to"),
        (("now", "now-1h"), "from"),
        (("now-1h", "now", "soon"), "at"),
        (("now-99999w", "now"), "from"),
        (("0001-01-01T00:00:00+14:00", "now"), "from"),
    ],
)
def test_what_cannot_be_read_names_its_field(texts, field):
    with pytest.raises(BadInput) as caught:
        at(*texts)
    assert caught.value.field == field
