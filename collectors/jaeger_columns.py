"""Traces of a Jaeger API as the columns that are counted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from collectors.jaeger_wire import (
    JaegerSpan,
    JaegerTrace,
    Process,
    decoded,
    failed,
    kind_of,
    span_id_of,
    telling,
    text_of,
    trace_id_of,
)
from collectors.otlp_wire import Wanted
from collectors.span_columns import Batch, Columns, batch_of
from collectors.span_origin import Origin, origin_of
from collectors.span_plain import columns_of
from collectors.span_rows import Picked

_LAST = 2**63 - 1
_NONE = bytes(8)
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
    groups: dict[Origin, list[JaegerSpan]] = {}
    for trace in traces:
        origins = {key: _of_process(one) for key, one in (trace.processes or {}).items()}
        for span in trace.spans or ():
            groups.setdefault(origins.get(span.process, _NOBODY), []).append(span)
    spans = [span for mine in groups.values() for span in mine]
    return batch_of(
        _columns(spans),
        JaegerRows(spans),
        list(groups),
        [len(mine) for mine in groups.values()],
        told_in=(sampling_attribute or "").encode(),
        now_ns=now_ns,
        sampling_attribute=sampling_attribute,
    )


def _columns(spans: list[JaegerSpan]) -> Columns:
    told = [telling(span.tags) for span in spans]
    traces = {name: _bytes(trace_id_of(name)) for name in {span.trace_id for span in spans}}
    return columns_of(
        [traces[span.trace_id] for span in spans],
        [_bytes(span_id_of(span.span_id)) for span in spans],
        [_bytes(span_id_of(span.parent)) or _NONE for span in spans],
        kind=[kind_of(one) for one in told],
        start=[_ns(span.start) for span in spans],
        end=[_ns(span.start + max(span.duration, 0)) for span in spans],
        error=[row for row, one in enumerate(told) if failed(one)],
        states={row: state.encode() for row, one in enumerate(told) if (state := one.get("w3c.tracestate"))},
    )


def _ns(microseconds: int) -> int:
    return min(max(microseconds, 0) * 1000, _LAST)


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
