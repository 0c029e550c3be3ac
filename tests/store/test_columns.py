from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.errors import StoreError
from app.model.series import BUCKETS
from app.store.columns import SCALE, Reader, dense, flat_cells, pack

COUNTS = st.integers(0, 2**53 - 1).map(float) | st.just(float("nan"))
RATES = st.floats(0, 2**40) | st.just(float("nan"))


def _round_trip(values):
    spec, raw = pack(values)
    return Reader(raw, 0).floats(spec), spec


@given(st.lists(COUNTS, max_size=60))
def test_whole_counts_and_unknowns_come_back_exactly(counts):
    values = np.array(counts, np.float64)
    back, _ = _round_trip(values)
    assert np.array_equal(back, values, equal_nan=True)


@given(st.lists(RATES, max_size=60))
def test_fractions_come_back_within_half_a_step(rates):
    values = np.array(rates, np.float64)
    back, _ = _round_trip(values)
    assert np.array_equal(np.isnan(back), np.isnan(values))
    assert np.all(np.abs(np.nan_to_num(back - values)) <= 0.5 / SCALE)


@given(hnp.arrays(np.float64, st.integers(0, 20), elements=st.floats(width=64)))
def test_nothing_a_float_can_be_breaks_a_column(values):
    back, _ = _round_trip(values)
    odd = ~np.isfinite(values) | (values < 0)
    assert np.array_equal(back[odd], values[odd], equal_nan=True)


@pytest.mark.parametrize(("top", "size"), [(255, 1), (256, 2), (65_535, 2), (65_536, 4), (2**32, 8)])
def test_a_column_takes_the_narrowest_type_that_holds_its_maximum(top, size):
    _, spec = _round_trip(np.array([0.0, float(top)]))
    assert np.dtype(spec.dtype).itemsize == size


def test_an_unknown_count_is_not_zero():
    back, _ = _round_trip(np.array([0.0, np.nan]))
    assert back[0] == 0
    assert np.isnan(back[1])


def test_a_cut_column_is_refused():
    spec, raw = pack(np.array([1.0, 2.0, 3.0]))
    with pytest.raises(StoreError, match="cut off"):
        Reader(raw[:-1], 0).floats(spec)


def test_an_unknown_type_is_refused():
    spec, raw = pack(np.array([1.0]))
    spec.dtype = "<i3"
    with pytest.raises(StoreError, match="unknown type"):
        Reader(raw, 0).floats(spec)


@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(0, 5), st.just(BUCKETS)), elements=st.sampled_from([0.0, 1.0, 7.0])
    )
)
def test_sparse_histograms_are_dense_ones_again(histograms):
    cells, counts = flat_cells(histograms)
    assert np.array_equal(dense(cells, counts, len(histograms)), histograms)
