"""Spans to columns without an object per span: numpy looks at the same field of all spans at once.

Encoders write fields in the order of their numbers, so a span begins with its ids, goes on with name, kind and
times, and ends with attributes, events, links and status. Every span is walked to its last byte; one that is
written in any other way is told as `odd`, for a full decoder to read.
Source: protobuf encoding guide; field numbers of opentelemetry-proto 1.x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collectors.otlp_wire import status_is_error
from collectors.span_columns import Columns
from collectors.span_fields import (
    I64,
    STATUS_TAG,
    U8,
    Bools,
    content,
    delimited,
    octet,
    octets_of,
    records,
    step,
)

# Records of adjoining fields, each with its tag (and length) in front.
_IDS = np.dtype([("tag", "<u2"), ("trace", "<u8", 2), ("tag2", "<u2"), ("span", "<u8")])
_PARENT = np.dtype([("tag", "<u2"), ("id", "<u8")])
_TIMES = np.dtype(
    [("tag", "u1"), ("kind", "u1"), ("tag7", "u1"), ("start", "<u8"), ("tag8", "u1"), ("end", "<u8")]
)
_TRACE_TAG, _SPAN_TAG, _PARENT_TAG, _NO_PARENT_TAG = 0x100A, 0x0812, 0x0822, 0x0022
_STATE_TAG, _NAME_TAG, _KIND_TAG, _START_TAG, _END_TAG = 0x1A, 0x2A, 0x30, 0x39, 0x41
_CODE_TAG, _ERROR = 0x18, 2

_MOST_FIELDS = 160  # attributes, events and links of one span; SDKs stop at 128 attributes


@dataclass(slots=True)
class Scanned:
    """Columns of all spans; what they say of the spans in `odd` (row numbers) means nothing.

    tails: where the fields behind the times begin, -1 for odd spans.
    """

    columns: Columns
    tails: I64
    odd: list[int]


def scan(body: bytes, begins: I64, ends: I64) -> Scanned:
    """The columns of the spans at `begins` to `ends` (each inside the body)."""
    octets = octets_of(body)
    ids = records(body, begins, _IDS)
    fits = (ids["tag"] == _TRACE_TAG) & (ids["tag2"] == _SPAN_TAG)
    at, states = _states(body, octets, begins + _IDS.itemsize, ends)
    parents = records(body, at, _PARENT)
    has_parent = parents["tag"] == _PARENT_TAG
    at += has_parent * _PARENT.itemsize + (parents["tag"] == _NO_PARENT_TAG) * 2
    at += np.where(octet(octets, at) == _NAME_TAG, delimited(octets, at), 0)
    times = records(body, at, _TIMES)
    fits &= (times["tag"] == _KIND_TAG) & (times["tag7"] == _START_TAG) & (times["tag8"] == _END_TAG)
    fits &= times["kind"] < 128
    tails, error = at + _TIMES.itemsize, np.zeros(len(begins), bool)
    fits &= _walk(body, octets, tails, ends, error)
    columns = Columns(
        trace=ids["trace"],
        span=ids["span"],
        parent=np.where(has_parent, parents["id"], np.uint64(0)),
        kind=times["kind"],
        start=times["start"],
        end=times["end"],
        error=error,
        bad=np.zeros(len(begins), bool),
        states=states,
    )
    return Scanned(columns, np.where(fits, tails, -1), np.flatnonzero(~fits).tolist())


def _states(body: bytes, octets: U8, at: I64, ends: I64) -> tuple[I64, dict[int, bytes]]:
    """Places behind the tracestate, and the tracestates of the spans that have one."""
    rows = np.flatnonzero(octet(octets, at) == _STATE_TAG)
    if not len(rows):
        return at, {}
    heads = content(octets, at[rows])
    at[rows] += delimited(octets, at[rows])
    inside = at[rows] <= ends[rows]  # or a small hostile body would be copied many times over
    places = (rows[inside].tolist(), heads[inside].tolist(), at[rows[inside]].tolist())
    return at, {row: body[begin:end] for row, begin, end in zip(*places, strict=True) if begin < end}


def _walk(body: bytes, octets: U8, at: I64, ends: I64, error: Bools) -> Bools:
    """Step over fields 9 to 16, one field of all spans at a time, noting errors; True = ended where it should."""
    arrived = np.zeros(len(at), bool)
    rows = np.arange(len(at))
    for _ in range(_MOST_FIELDS):
        going = at < ends
        if not going.all():
            arrived[rows] = at == ends
            rows, at, ends = rows[going], at[going], ends[going]
        if not len(rows):
            break
        tag = octet(octets, at)
        after = at + step(octets, at, tag)
        told = np.flatnonzero((tag == STATUS_TAG) & (after <= ends))
        if len(told):
            error[rows[told]] = _errors(body, octets, at[told], after[told])
        at = after
    return arrived


def _errors(body: bytes, octets: U8, at: I64, after: I64) -> Bools:
    """Whether the status at each place says ERROR; most are empty or a bare code."""
    size = after - at
    code = octet(octets, at + 3)
    found: Bools = (size == 4) & (octet(octets, at + 2) == _CODE_TAG) & (code == _ERROR)
    longer = np.flatnonzero(size > 4)
    begins = content(octets, at[longer])
    for row, begin, end in zip(longer.tolist(), begins.tolist(), after[longer].tolist(), strict=True):
        found[row] = status_is_error(body[begin:end])
    return found
