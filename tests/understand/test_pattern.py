"""Patterns in linear time agree with Python's own wherever both know the syntax."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.understand.pattern import LONGEST, LONGEST_TEXT, Pattern, PatternError

_ATOMS = st.sampled_from(
    ["a", "b", "C", ".", "[a-c]", "[^b]", r"\d", r"\w", r"\.", "-", "(a|b)", "(?:ab)", "()"]
)
_ENDS = st.sampled_from(["", "*", "+", "?", "{2}", "{0,2}", "{1,}"])
_PATTERNS = st.lists(st.tuples(_ATOMS, _ENDS).map("".join), max_size=6).map("".join)


@settings(max_examples=150, deadline=None)
@given(_PATTERNS, _PATTERNS, st.booleans(), st.booleans(), st.text("abcABC1.-x", max_size=12))
def test_it_finds_what_python_finds(left, right, start, end, text):
    body = f"{left}|{right}" if right else left
    mine = f"{'^' if start else ''}({body}){'$' if end else ''}"
    assert Pattern(mine).search(text) is bool(re.search(mine.replace("$", r"\Z"), text, re.IGNORECASE))


@settings(max_examples=150, deadline=None)
@given(st.text(string.printable, max_size=40))
def test_any_text_is_a_pattern_or_refused_with_a_place_in_it(text):
    at = refused_at(text)
    assert at is None or 0 <= at <= len(text) + 1


def refused_at(text: str) -> int | None:
    try:
        Pattern(text).search(text)
    except PatternError as error:
        return error.at
    return None


@pytest.mark.parametrize(
    "bad", ["(", "a)", "*a", "[a", "a{2", "a{3,1}", r"\1", "(?=a)", "(?P<x>a)", "\\", "a" * 201]
)
def test_what_is_not_known_is_refused(bad):
    with pytest.raises(PatternError):
        Pattern(bad)


def test_repetitions_that_grow_without_bound_are_refused_before_they_are_written_out():
    with pytest.raises(PatternError, match="too many"):
        Pattern("((((a{99}){99}){99}){99}){99}")


def test_a_pattern_that_takes_others_for_ever_is_no_work():
    evil = Pattern("^(a*)*(a|a)*(a?){20}$")
    before = evil._remembered
    assert not evil.search("a" * (LONGEST_TEXT - 1) + "b")
    assert evil.search("a" * 100)
    assert evil._remembered - before < 100


def test_what_is_remembered_of_states_is_bounded():
    pattern = Pattern("x$")
    for char in range(0x4E00, 0x4E00 + 21_000):
        pattern.search(chr(char))
    assert pattern._remembered <= 20_000


def test_a_long_text_is_looked_at_up_to_a_limit():
    assert not Pattern("b").search("a" * LONGEST_TEXT + "b")
    assert len("a" * LONGEST) == LONGEST
