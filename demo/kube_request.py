"""A request and an answer of the simulated API, apart from sockets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from demo.kube_access import User
from demo.kube_errors import Refusal, bad_dry_run, bad_request, not_acceptable, unsupported_media_type
from demo.kube_kinds import Kind, Obj
from demo.kube_protobuf import MEDIA_TYPE, UnknownMessage, decoded

JSON = "application/json"
PLAIN = "text/plain; charset=utf-8"
AS_TABLE, AS_METADATA, AS_OBJECT, AS_DISCOVERY = "table", "metadata", "object", "discovery"


@dataclass(frozen=True, slots=True)
class Target:
    """The resource that a path names; `name` is "" for the collection."""

    kind: Kind
    namespace: str
    name: str
    sub: str


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `query` holds the first value of each parameter."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes
    user: User

    def json(self) -> Any:
        """The body as JSON, also of the few bodies known as protobuf. Raises the 400 or 415 refusal."""
        kind = self.media_type()
        if kind not in ("", JSON, MEDIA_TYPE):
            raise unsupported_media_type()
        try:
            return decoded(self.body) if kind == MEDIA_TYPE else orjson.loads(self.body or b"{}")
        except ValueError as error:
            raise bad_request(f"error decoding body: {error}") from error
        except UnknownMessage as error:
            raise unsupported_media_type() from error

    def flag(self, name: str) -> bool:
        """A boolean parameter."""
        return self.query.get(name, "").lower() in ("1", "true")

    def number(self, name: str) -> int:
        """A number that is not negative; 0 when it is absent. Raises the 400 refusal."""
        text = self.query.get(name) or "0"
        if not text.isdigit():
            raise bad_request(f'strconv.ParseUint: parsing "{text}": invalid syntax')
        return int(text)

    def dry_run(self, options: str) -> bool:
        """Whether nothing is to be stored. Raises the 422 refusal for anything but `All`."""
        value = self.query.get("dryRun")
        if value not in (None, "", "All"):
            raise bad_dry_run(options, [value])
        return value == "All"

    def manager(self) -> str:
        """The field manager: the one named, or the first part of the User-Agent."""
        named = self.query.get("fieldManager")
        return named or self.headers.get("user-agent", "unknown").partition("/")[0][:128]

    def media_type(self) -> str:
        """The type of the body, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer, or, with `stream`, one that goes on line by line."""

    code: int = 200
    body: bytes = b""
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None


def answer(obj: Obj, code: int = 200, *, warnings: list[str] | None = None) -> Answer:
    """An object as an answer; warnings become one Warning header each (joined: the header may be a list)."""
    headers = {}
    if warnings:
        headers["Warning"] = ", ".join(f"299 - {orjson.dumps(text).decode()}" for text in warnings)
    return Answer(code, orjson.dumps(obj), headers=headers)


def refused(refusal: Refusal) -> Answer:
    """A refusal as an answer."""
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else {}
    if refusal.text is not None:
        return Answer(refusal.code, refusal.text.encode(), PLAIN, headers)
    return Answer(refusal.code, orjson.dumps(refusal.body), JSON, headers)


def wanted_form(accept: str) -> str:
    """What an Accept header asks for: AS_TABLE, AS_METADATA, AS_DISCOVERY or AS_OBJECT. Raises the 406 refusal."""
    if not accept.strip():
        return AS_OBJECT
    for part in accept.split(","):
        kind, *parameters = [piece.strip() for piece in part.split(";")]
        if kind not in (JSON, "*/*", "application/*"):
            continue
        given = dict(piece.partition("=")[::2] for piece in parameters)
        wanted = given.get("as", "")
        if wanted == "Table":
            return AS_TABLE
        if wanted.startswith("PartialObjectMetadata"):
            return AS_METADATA
        if wanted == "APIGroupDiscoveryList":
            if given.get("v") == "v2":
                return AS_DISCOVERY
            continue
        return AS_OBJECT
    raise not_acceptable()
