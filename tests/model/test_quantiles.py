from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.model.series import BOUNDS, BUCKETS, quantiles

WANTED = (0.0, 0.5, 0.95, 0.99, 1.0)

sparse = st.dictionaries(
    st.integers(0, BUCKETS - 1), st.one_of(st.integers(0, 10**6), st.floats(0, 1e6)), max_size=12
)


def plain(row: list[float], wanted: float) -> float:
    """Histogram_quantile of Prometheus, bucket by bucket."""
    total = 0.0
    for count in row:
        total += count
    if not total > 0:
        return math.nan
    rank, before = wanted * total, 0.0
    for bucket, count in enumerate(row):
        if count > 0 and before + count >= rank:
            share = min(max((rank - before) / count, 0.0), 1.0)
            return float(BOUNDS[bucket] + share * (BOUNDS[bucket + 1] - BOUNDS[bucket]))
        before += count
    raise AssertionError("a rank lies within the total")


@given(st.lists(sparse, min_size=1, max_size=5))
def test_quantiles_are_those_of_the_plain_definition(rows):
    counts = np.zeros((len(rows), BUCKETS))
    for place, row in enumerate(rows):
        counts[place, list(row)] = list(row.values())
    told = [[plain(row, one) for one in WANTED] for row in counts.tolist()]
    np.testing.assert_allclose(quantiles(counts, WANTED), told, rtol=1e-9, equal_nan=True)


@given(arrays(np.float64, (3, BUCKETS), elements=st.integers(0, 50).map(float)))
def test_full_histograms_answer_row_by_row(counts):
    told = [[plain(row, one) for one in WANTED] for row in counts.tolist()]
    np.testing.assert_allclose(quantiles(counts, WANTED), told, rtol=1e-9, equal_nan=True)


def test_nothing_at_all_and_no_rows():
    assert np.isnan(quantiles(np.zeros((2, BUCKETS)))).all()
    assert quantiles(np.zeros((0, BUCKETS))).shape == (0, 3)
    assert quantiles(np.ones((2, BUCKETS)), ()).shape == (2, 0)
