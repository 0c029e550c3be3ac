from __future__ import annotations

from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from app.pages.preference import Preferences, is_zone, parse, zone_of, zones


def test_preferences_survive_the_cookie():
    chosen = Preferences("dark", "compact", "Europe/Berlin", keys=False, calm=True, quiet=True)
    assert parse(chosen.key) == chosen
    assert Preferences().key == ""


def test_values_that_are_not_offered_fall_back():
    assert parse("theme=pink&density=9&zone=Mars/Base&keys=maybe&x=1") == Preferences()


@given(st.text())
def test_any_cookie_text_gives_preferences(text):
    found = parse(text)
    assert found.theme in ("system", "light", "dark")
    assert is_zone(found.zone)


def test_an_unknown_zone_is_utc_and_utc_comes_first():
    assert zone_of("Nowhere/Land") is UTC
    assert zones()[0] == "UTC"
    assert "Europe/Berlin" in zones()
