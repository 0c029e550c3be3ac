"""What the tags of many spans tell of kind, error and tracestate, mostly without decoding them.

All tags lie in one text in which the few keys wanted are looked for. What stands around a key repeats from span to
span, so each such piece of text is read once. A span with a key in any other form is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import msgspec
import numpy as np

from collectors.jaeger_wire import failed, kind_of, telling
from collectors.span_fields import I64

_BEFORE, _BEHIND = len('{"key":'), 60  # bytes around a key that hold its value in the usual form
_USUAL = re.compile(rb'\{?"key": ?"([\w.]+)", ?(?:"type": ?"\w*", ?)?"value": ?(?:"([^"\\]*)"|(true|false))')
_KIND, _ERROR, _CODE, _STATE = (b'"span.kind"', b'"error"', b'"otel.status_code"', b'"w3c.tracestate"')


@dataclass(frozen=True, slots=True)
class Told:
    """Of each span its kind (OTLP's number, 0 = not told); which rows failed; the tracestate of rows with one."""

    kind: list[int]
    failed: list[int]
    states: dict[int, bytes]


def told_by(tags: Sequence[msgspec.Raw]) -> Told:
    """What the tags of spans tell."""
    text = b"".join(tags)
    begins = np.array([0, *accumulate(map(len, tags))], np.int64)
    kind, bad, unclear = [0] * len(tags), set[int](), {*range(len(tags))}
    for row, told in _forms(text, begins, _KIND):
        if told is not None:
            kind[row] = told[0]
            unclear.discard(row)
    for key in (_ERROR, _CODE):
        for row, told in _forms(text, begins, key):
            if told is None:
                unclear.add(row)
            elif told[1]:
                bad.add(row)
    unclear.update(row for row, _ in _forms(text, begins, _STATE))
    states: dict[int, bytes] = {}
    for row in unclear:
        said = telling(tags[row])
        kind[row] = kind_of(said)
        (bad.add if failed(said) else bad.discard)(row)
        if state := said.get("w3c.tracestate"):
            states[row] = state.encode()
    return Told(kind, sorted(bad), states)


def _forms(text: bytes, begins: I64, key: bytes) -> Iterable[tuple[int, tuple[int, bool] | None]]:
    """For each place of a key its row and (kind, failed); None where it stands in another form than usual."""
    places: list[int] = []
    at = text.find(key)
    while at >= 0:
        places.append(at)
        at = text.find(key, at + 1)
    rows = np.searchsorted(begins, np.array(places, np.int64), "right") - 1
    forms = [text[max(at - _BEFORE, 0) : at + _BEHIND] for at in places]
    known = {form: _read(form) for form in set(forms)}
    return zip(rows.tolist(), map(known.__getitem__, forms), strict=True)


def _read(form: bytes) -> tuple[int, bool] | None:
    found = _USUAL.match(form)
    if found is None:
        return None
    told = {found[1].decode(): (found[3] if found[2] is None else found[2]).decode("utf-8", "replace")}
    return kind_of(told), failed(told)
