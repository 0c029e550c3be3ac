"""Traces of a Jaeger API as the columns that are counted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache

import numpy as np

from collectors.jaeger_tags import told_by
from collectors.jaeger_wire import (
    JaegerSpan,
    JaegerTrace,
    Process,
    decoded,
    span_id_of,
    text_of,
    trace_id_of,
)
from collectors.otlp_wire import Wanted
from collectors.span_columns import Batch, Columns, batch_of
from collectors.span_fields import I64
from collectors.span_origin import Origin, origin_of
from collectors.span_plain import columns_of
from collectors.span_rows import Picked

_LAST = (2**63 - 1) // 1000  # microseconds
_ROOT = "0" * 16
_MOST_KEPT = 8192  # bytes of tags worth remembering


class JaegerRows:
    """Spans of a Jaeger answer."""

    def __init__(self, spans: list[JaegerSpan]) -> None:
        self.spans = spans

    def pick(self, rows: Sequence[int], wanted: Wanted) -> list[Picked]:
        """The wanted tags of some spans; they have to be decoded to be found."""
        return [
            tuple(
                (tag.key, text)
                for tag in decoded(self.spans[row].tags)
                if tag.key in names and (text := text_of(tag.value))
            )
            for names in [wanted.names]
            for row in rows
        ]

    def attributes(self, picked: Picked) -> dict[str, str]:
        """Picked tags as text."""
        return dict(reversed(picked))

    def links(self, row: int) -> list[tuple[bytes, bytes]]:
        """(trace id, span id) of each reference that is not the parent."""
        span = self.spans[row]
        others = [one for one in span.references or () if one.span_id != span.parent]
        return [(_bytes(trace_id_of(one.trace_id)), _bytes(span_id_of(one.span_id))) for one in others]


def batch_of_jaeger(
    traces: Sequence[JaegerTrace], *, now_ns: int, sampling_attribute: str | None = None
) -> Batch:
    """The usable spans of some traces."""
    # By identity: equal origins are mostly the same object, and to compare them costs more.
    known = {id(_NOBODY): _NOBODY}
    nobody: list[JaegerSpan] = []
    groups = {id(_NOBODY): nobody}
    for trace in traces:
        origins = {key: _of_process(one) for key, one in (trace.processes or {}).items()}
        places = {key: groups.setdefault(id(one), []) for key, one in origins.items()}
        for one in origins.values():
            known[id(one)] = one
        for span in trace.spans or ():
            places.get(span.process, nobody).append(span)
    spans = [span for mine in groups.values() for span in mine]
    return batch_of(
        _columns(spans),
        JaegerRows(spans),
        [known[key] for key in groups],
        [len(mine) for mine in groups.values()],
        told_in=(sampling_attribute or "").encode(),
        now_ns=now_ns,
        sampling_attribute=sampling_attribute,
    )


def _columns(spans: list[JaegerSpan]) -> Columns:
    told = told_by([span.tags for span in spans])
    traces = {name: _bytes(trace_id_of(name)) for name in {span.trace_id for span in spans}}
    begin, length = _micros([span.start for span in spans]), _micros([span.duration for span in spans])
    return columns_of(
        [traces[span.trace_id] for span in spans],
        _ids([span.span_id for span in spans]),
        _ids([_parent(span) for span in spans]),
        kind=told.kind,
        start=(begin * 1000).tolist(),
        end=(np.minimum(begin + length, _LAST) * 1000).tolist(),
        error=told.failed,
        states=told.states,
    )


def _micros(values: list[int]) -> I64:
    """Microseconds that fit into 63 bits as nanoseconds."""
    try:
        return np.clip(np.array(values, np.int64), 0, _LAST)
    except OverflowError:
        return np.array([min(max(one, 0), _LAST) for one in values], np.int64)


def _parent(span: JaegerSpan) -> str:
    references = span.references
    if not references:
        return _ROOT
    first = references[0]
    usual = first.kind == "CHILD_OF" and first.trace_id == span.trace_id
    return first.span_id if usual else span.parent or _ROOT


def _ids(digits: list[str]) -> list[bytes]:
    """Ids of spans; all at once where all are as long as they should be."""
    text = "".join(digits)
    if len(text) == 16 * len(digits) and {*map(len, digits)} <= {16} and text.isascii() and text.isalnum():
        with suppress(ValueError):
            every = bytes.fromhex(text)
            return [every[at : at + 8] for at in range(0, len(every), 8)]
    return [_bytes(span_id_of(one or _ROOT)) for one in digits]


def _bytes(digits: str) -> bytes:
    """Bytes of a hex id; an illegible one becomes a single byte, which no length check accepts."""
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b"?"


def _of_process(process: Process) -> Origin:
    tags = bytes(process.tags)
    return (_origin if len(tags) <= _MOST_KEPT else _origin.__wrapped__)(process.service_name, tags)


@lru_cache(maxsize=4096)
def _origin(service: str, tags: bytes) -> Origin:
    told = {tag.key: text for tag in decoded(tags) if (text := text_of(tag.value))}
    return origin_of({**told, "service.name": service})


_NOBODY = _origin("", b"[]")
