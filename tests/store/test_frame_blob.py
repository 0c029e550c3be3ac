from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import StoreError
from app.model.fleet import EvidenceKind, Frame, HealthStatus, Heard
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


def test_a_frame_keeps_who_gave_the_numbers_and_who_was_alive():
    frame = make_frame()
    seen = np.full(len(frame.edge_ids), EvidenceKind.TRACES.bit | EvidenceKind.MESH.bit, np.uint16)
    heard = {"traces": Heard(60.0, 0.1), "istio": Heard(60.0, None)}
    back = _round_trip(replace(frame, edge_seen=seen, witnesses=heard))
    assert back.edge_seen.tolist() == seen.tolist()
    assert back.node_seen.tolist() == []
    assert back.witnesses == heard


# `make_frame()` as the builds wrote it that did not keep who gave the numbers: the frame and its names.
OLDER = (
    b"UUYBKLUv/SCy1QIA9ASiAAAAlsyA1v9rADZAPNkgYWY2M2VmMGE4OTI2YWE4ZjhiODA1NmIzYjBiN2VkZTKSlpSjfHUxAQHCkado"
    b"ZWFsdGh5PAYBKDwAHgMBKB4AAgDwSjp6ZYEC"
)
OLDER_NAMES = (
    b"KLUv/SBylQIANASDqG5vZGVfaWRzka9kZW1vOnNob3A6b3JkZXKoZWRn2SE+cGF5bWVudKphdHRyaWJ1dGVzgYGka2luZKdzZXJ2"
    b"aWNlBACZgMLMTfjs+B6mEw=="
)


def test_a_blob_of_a_build_that_did_not_keep_who_gave_the_numbers_is_read():
    frame = make_frame()
    back = frame_of(frame.cluster, decode_stored(b64decode(OLDER)), decode_names(b64decode(OLDER_NAMES)))
    assert back.edge_requests.tolist() == frame.edge_requests.tolist()
    assert (back.edge_seen.tolist(), back.witnesses) == ([], {})
