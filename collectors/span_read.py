"""Bodies to batches, by the cheapest way that reads them right."""

from __future__ import annotations

from typing import Any

import numpy as np

from collectors.otlp_wire import JsonSpan, parse_json, parse_protobuf, parse_span
from collectors.span_columns import Batch, Columns, batch_of
from collectors.span_origin import Origin, json_origin, proto_origin
from collectors.span_outline import Outline, outline
from collectors.span_plain import of_json, of_protobuf
from collectors.span_rows import JsonRows, ProtoRows, Rows, WireRows
from collectors.span_scan import scan

_FEW = 96  # a scan costs about as much for one span as for this many
_ODD_SHARE = 4  # with more than one odd span in this many, decoding all of them is cheaper


def read_protobuf(
    body: bytes, *, now_ns: int, sampling_attribute: str | None = None, few: int = _FEW
) -> Batch:
    """An OTLP protobuf body as a batch; bodies of less than `few` spans are not scanned. Raises Malformed."""
    places = outline(body)
    read = _scanned(body, places) if places is not None and len(places.begins) >= few else None
    if places is None or read is None:
        rows, columns, origins, counts = _parsed(body)
    else:
        rows, columns = read
        origins, counts = [proto_origin(resource) for resource in places.resources], places.counts
    return batch_of(
        columns, rows, origins, counts, told_in=body, now_ns=now_ns, sampling_attribute=sampling_attribute
    )


def read_json(body: bytes, *, now_ns: int, sampling_attribute: str | None = None) -> Batch:
    """An OTLP JSON body as a batch. Raises Malformed."""
    spans: list[JsonSpan] = []
    origins: list[Origin] = []
    counts: list[int] = []
    for group in parse_json(body).resource_spans or []:
        before = len(spans)
        for scope in group.scope_spans or []:
            spans.extend(scope.spans or [])
        origins.append(json_origin(bytes(group.resource.attributes) if group.resource else b"[]"))
        counts.append(len(spans) - before)
    return batch_of(
        of_json(spans),
        JsonRows(spans),
        origins,
        counts,
        told_in=body,
        now_ns=now_ns,
        sampling_attribute=sampling_attribute,
    )


def _parsed(body: bytes) -> tuple[Rows, Columns, list[Origin], list[int]]:
    """Everything through the protobuf parser."""
    spans: list[Any] = []
    origins: list[Origin] = []
    counts: list[int] = []
    for group in parse_protobuf(body).resource_spans:
        before = len(spans)
        for scope in group.scope_spans:
            spans.extend(scope.spans)
        origins.append(proto_origin(group.resource))
        counts.append(len(spans) - before)
    return ProtoRows(spans), of_protobuf(spans), origins, counts


def _scanned(body: bytes, places: Outline) -> tuple[Rows, Columns] | None:
    """Scanned columns, odd spans read by the parser; None where too many are odd."""
    begins, ends = np.array(places.begins, np.int64), np.array(places.ends, np.int64)
    found = scan(body, begins, ends)
    columns, odd = found.columns, found.odd
    if len(odd) * _ODD_SHARE > len(begins):
        return None
    rows = WireRows(body, begins, ends, found.tails)
    if odd:
        columns.replace(odd, of_protobuf([parse_span(rows.wire(row)) for row in odd]))
    return rows, columns
