from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import StoreError
from app.model.fleet import Frame, HealthStatus
from app.model.series import BUCKETS
from app.store.blob import compress
from app.store.frame_blob import decode_names, decode_stored, encode_frame, frame_of
from tests.support.factories import NOON, make_frame

IDS = st.lists(st.text(max_size=8).filter(lambda s: s.isprintable()), max_size=6, unique=True)
COUNT = st.integers(0, 10**12).map(float) | st.just(float("nan"))
STATUS = st.sampled_from([status.value for status in HealthStatus])


@st.composite
def frames(draw) -> Frame:
    columns = {}
    for prefix in ("node", "edge"):
        ids = draw(IDS)
        latency = np.zeros((len(ids), BUCKETS))
        for row in range(len(ids)):
            for bucket, count in draw(
                st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 10**6), max_size=4)
            ).items():
                latency[row, bucket] = count
        columns |= {
            f"{prefix}_ids": tuple(ids),
            f"{prefix}_requests": np.array([draw(COUNT) for _ in ids], np.float64),
            f"{prefix}_failed": np.array([draw(COUNT) for _ in ids], np.float64),
            f"{prefix}_latency": latency,
            f"{prefix}_health": tuple(draw(STATUS) for _ in ids),
        }
    return Frame(
        "demo", NOON, timedelta(minutes=1), **columns, attributes={"a": {"kind": draw(st.text(max_size=5))}}
    )


def _round_trip(frame: Frame) -> Frame:
    _, names, body = encode_frame(frame)
    return frame_of(frame.cluster, decode_stored(body), decode_names(names))


def _rows(frame: Frame, prefix: str):
    columns = [getattr(frame, f"{prefix}_{name}") for name in ("requests", "failed", "latency", "health")]
    return {
        name: [column[row] for column in columns] for row, name in enumerate(getattr(frame, f"{prefix}_ids"))
    }


@given(frames())
@settings(max_examples=60, deadline=None)
def test_a_frame_comes_back_exactly_with_its_rows_sorted_by_id(frame):
    back = _round_trip(frame)
    assert (back.cluster, back.start, back.length, back.attributes) == (
        frame.cluster,
        frame.start,
        frame.length,
        frame.attributes,
    )
    for prefix in ("node", "edge"):
        assert list(getattr(back, f"{prefix}_ids")) == sorted(getattr(frame, f"{prefix}_ids"))
        here, there = _rows(frame, prefix), _rows(back, prefix)
        for name, (requests, failed, latency, health) in here.items():
            assert np.array_equal([requests, failed], there[name][:2], equal_nan=True)
            assert np.array_equal(latency, there[name][2])
            assert health == there[name][3]


def test_minutes_with_the_same_names_share_one_table_whatever_their_order():
    one = encode_frame(make_frame(nodes={"a": 1.0, "b": 2.0}))
    two = encode_frame(make_frame(nodes={"b": 5.0, "a": 7.0}, start=NOON + timedelta(minutes=1)))
    assert one[0] == two[0]


def test_an_unknown_version_is_refused():
    _, _, body = encode_frame(make_frame())
    with pytest.raises(StoreError, match="version 2"):
        decode_stored(body[:2] + b"\x02" + body[3:])


@pytest.mark.parametrize(
    "body", [b"", b"QF", b"XX\x01", b"QF\x01", b"QF\x01" + compress(b""), b"QF\x01nonsense"]
)
def test_broken_bytes_are_an_error_of_the_store(body):
    with pytest.raises(StoreError):
        decode_stored(body)


def test_one_id_table_of_a_thousand_minutes_is_stored_once_and_a_minute_costs_few_bytes_per_row():
    ids = {f"demo:shop:service-{i}>demo:shop:service-{i * 7 % 1000}": float(i % 400) for i in range(5_000)}
    _, _, body = encode_frame(make_frame(nodes={}, edges=ids))
    assert len(body) / 5_000 < 11
