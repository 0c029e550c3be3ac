"""What the formats share: objectives in percent, names, and where something was written."""

from __future__ import annotations

import re
from datetime import timedelta

from app.model.slo import Objective, Rolling, standard_pairs
from app.model.slo_spec import Origin, SpecFormat
from app.specs.cursor import Cursor

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LONGEST_NAME = 253


def name_of(place: Cursor | None) -> str | None:
    """A name of letters, digits, dash, dot and underscore; None otherwise, which is a problem."""
    if place is None:
        return None
    text = place.text()
    if _NAME.fullmatch(text) and len(text) <= _LONGEST_NAME:
        return text
    place.wrong(f"{text[:60]!r} is no name: letters, digits, dash, dot and underscore, not at the ends")
    return None


def objective_of(place: Cursor | None, *, share: bool = False) -> Objective | None:
    """An objective in percent (or as a share of 1); None otherwise, which is a problem."""
    if place is None:
        return None
    text = place.text()
    try:
        return Objective.share(text) if share else Objective.percent(text)
    except ValueError as error:
        place.wrong(str(error))
        return None


def rolling_of(place: Cursor | None, length: timedelta | None = None) -> Rolling | None:
    """A rolling period that is long enough for burn rates; None otherwise, which is a problem.

    `length` is given where the format writes durations in a way of its own.
    """
    if place is None:
        return None
    found = length or place.duration()
    if found is None:
        return None
    try:
        standard_pairs(found)
    except ValueError as error:
        place.wrong(str(error))
        return None
    return Rolling(found)


def origin_of(place: Cursor, form: SpecFormat) -> Origin:
    """Where this was written."""
    return Origin(form, place.findings.file, place.line)
