from __future__ import annotations

import math

from app.pages import spark
from app.pages.format import ratio


def test_a_gap_starts_a_new_stroke():
    d, last = spark.path([1.0, 2.0, None, 1.0])
    assert d == "M0 12L40 2M120 12"
    assert last == (120.0, 12.0)


def test_an_unknown_last_value_has_no_dot():
    assert spark.path([1.0, None])[1] is None


def test_nothing_known_draws_nothing():
    assert spark.path([None, math.nan, math.inf]) == ("", None)
    assert spark.path([]) == ("", None)


def test_all_zero_is_a_line_on_the_floor_not_a_fault():
    assert spark.path([0.0, 0.0])[0] == "M0 22L120 22"


def test_a_peak_survives_thinning_and_no_path_has_more_than_sixty_points():
    values = [0.0] * 360
    values[200] = 9.0
    d, _ = spark.path(values)
    assert d.count("M") + d.count("L") == 60
    assert " 2L" in d


def test_the_label_says_lowest_highest_now_and_when():
    drawn = spark.draw([0.0, 0.12, 0.12], "errors", ratio, span="last hour", at="10:41:20")
    assert drawn.label == "errors, last hour: lowest 0 %, highest 12 %, now 12 %, at 10:41:20"
    assert spark.draw([None], "errors", ratio, span="last hour", at="-").label == "errors, last hour: no data"
