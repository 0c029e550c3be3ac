"""What surrounds Kubernetes' objects: pages of lists, lines of watches, positions, and the Status of a refusal."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

Text = str | None
T = TypeVar("T")


class ListMeta(msgspec.Struct, gc=False, rename="camel"):
    """Position and the token of the next page."""

    resource_version: str = ""
    next_page: str = msgspec.field(default="", name="continue")
    remaining_item_count: int | None = None


class Page(msgspec.Struct, Generic[T], gc=False):
    """One page of a list."""

    metadata: ListMeta
    items: list[T] | None


class RawPage(msgspec.Struct, gc=False):
    """The same with items unread, for pages that hold one that cannot be read."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None


class Line(msgspec.Struct, gc=False):
    """One line of a watch: what happened, and the object still unread."""

    type: str
    object: msgspec.Raw = msgspec.Raw(b"{}")


class _PositionMeta(msgspec.Struct, gc=False, rename="camel"):
    resource_version: str = ""
    name: str = ""
    namespace: str = ""
    annotations: dict[str, str] | None = None


class Position(msgspec.Struct, gc=False):
    """Where in the history an object stands; all that is read of a bookmark (observed K15)."""

    metadata: _PositionMeta = msgspec.field(default_factory=_PositionMeta)


class _Cause(msgspec.Struct, gc=False):
    message: Text = None


class _Details(msgspec.Struct, gc=False, rename="camel"):
    causes: list[_Cause] | None = None
    retry_after_seconds: int | None = None


class Status(msgspec.Struct, gc=False):
    """An error of the API server. Its message may embed whole objects: cut it before it is shown (K24)."""

    kind: str = ""
    message: Text = None
    reason: Text = None
    code: int = 0
    details: _Details | None = None
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)


LINE = msgspec.json.Decoder(Line)
POSITION = msgspec.json.Decoder(Position)
RAW_PAGE = msgspec.json.Decoder(RawPage)
_STATUS = msgspec.json.Decoder(Status)


def read_status(body: bytes) -> Status | None:
    """The Status in a body, whatever its Content-Type said; None when it is something else (K19)."""
    try:
        status = _STATUS.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return None
    return status if status.kind == "Status" else None
