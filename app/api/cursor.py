"""Opaque cursors: where a page ended, in a form that clients pass back and never read."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

import orjson

from app.errors import BadInput

Item = TypeVar("Item")
Key = list[str | int | float]


def encode(key: Key) -> str:
    """The key of the last item as a cursor."""
    return base64.urlsafe_b64encode(orjson.dumps(key)).rstrip(b"=").decode()


def decode(text: str, shape: tuple[type, ...]) -> Key:
    """The key in a cursor; its parts must have these types. Raises BadInput."""
    try:
        key = orjson.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except (UnicodeEncodeError, binascii.Error, ValueError) as error:
        raise _bad() from error
    fits = isinstance(key, list) and len(key) == len(shape)
    if not fits or not all(_is(part, kind) for part, kind in zip(key, shape, strict=True)):
        raise _bad()
    found: Key = key
    return found


def page(
    items: Sequence[Item], key: Callable[[Item], Key], shape: tuple[type, ...], cursor: str | None, limit: int
) -> tuple[list[Item], str | None]:
    """One page of items sorted ascending by `key`, and the cursor of the next page (None = the last one)."""
    after = decode(cursor, shape) if cursor else None
    left = [item for item in items if after is None or key(item) > after]
    shown = left[:limit]
    return shown, encode(key(shown[-1])) if len(left) > limit else None


def _is(part: object, kind: type) -> bool:
    """Of this type, and such as databases take: numbers of 64 bits, text without NUL."""
    if type(part) is not kind:
        return False
    if isinstance(part, str):
        return "\x00" not in part
    return isinstance(part, (int, float)) and abs(part) < 1 << 63


def _bad() -> BadInput:
    return BadInput("cursor: is not one of ours; begin again without it", field="cursor")
