"""Trace requests on the wire: the slim protobuf schema and OTLP's JSON mapping.

Only what we read is declared; the C parsers skip the rest. Attributes, links and status stay undecoded until a
span needs them. Source: opentelemetry-proto 1.x; OTLP 1.9 for JSON (ids in hex, numeric kinds, 64-bit integers
as text).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from collectors.otlp_body import Malformed


class AnyValue(msgspec.Struct, gc=False, rename="camel"):
    """The scalar kinds of OTLP's AnyValue and lists, of which only the first item is asked; the rest is skipped."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | str | None = None
    array_value: msgspec.Raw = msgspec.Raw(b"")


class _Items(msgspec.Struct, gc=False):
    values: list[AnyValue] | None = None


class KeyValue(msgspec.Struct, gc=False):
    """One attribute."""

    key: str = ""
    value: AnyValue | None = None


class JsonStatus(msgspec.Struct, gc=False):
    """Status of a span: 2 is ERROR."""

    code: int | None = 0


class JsonLink(msgspec.Struct, gc=False, rename="camel"):
    """Another span this one follows from."""

    trace_id: str | None = ""
    span_id: str | None = ""


_Unsigned = Annotated[int, msgspec.Meta(ge=0)]


class JsonSpan(msgspec.Struct, gc=False, rename="camel"):
    """A span; attributes and links are kept as text until they are needed."""

    trace_id: str | None = ""
    span_id: str | None = ""
    parent_span_id: str | None = ""
    trace_state: str | None = ""
    kind: int | None = 0
    start_time_unix_nano: _Unsigned | None = 0
    end_time_unix_nano: _Unsigned | None = 0
    status: JsonStatus | None = None
    attributes: msgspec.Raw = msgspec.Raw(b"[]")
    links: msgspec.Raw = msgspec.Raw(b"[]")


class _ScopeSpans(msgspec.Struct, gc=False):
    spans: list[JsonSpan] | None = None


class _Resource(msgspec.Struct, gc=False):
    attributes: msgspec.Raw = msgspec.Raw(b"[]")


class _ResourceSpans(msgspec.Struct, gc=False, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _JsonRequest(msgspec.Struct, gc=False, rename="camel"):
    resource_spans: list[_ResourceSpans] | None = None


_json_request = msgspec.json.Decoder(_JsonRequest, strict=False)
_json_attributes = msgspec.json.Decoder(list[KeyValue] | None, strict=False)
_json_items = msgspec.json.Decoder(_Items, strict=False)
_json_links = msgspec.json.Decoder(list[JsonLink] | None, strict=False)

_Proto = descriptor_pb2.FieldDescriptorProto
BYTES, INT32, INT64 = _Proto.TYPE_BYTES, _Proto.TYPE_INT32, _Proto.TYPE_INT64
FIXED64, DOUBLE, BOOL = _Proto.TYPE_FIXED64, _Proto.TYPE_DOUBLE, _Proto.TYPE_BOOL

# message -> (field, number, type or message name, repeated). Strings are declared as bytes: same wire type, and
# invalid UTF-8 in a name then costs that name, not the whole body.
Schema = dict[str, tuple[tuple[str, int, int | str, bool], ...]]
_SCHEMA: Schema = {
    "Request": (("resource_spans", 1, "ResourceSpans", True),),
    "ResourceSpans": (("resource", 1, BYTES, False), ("scope_spans", 2, "ScopeSpans", True)),
    "ScopeSpans": (("spans", 2, "Span", True),),
    "Span": (
        ("trace_id", 1, BYTES, False),
        ("span_id", 2, BYTES, False),
        ("trace_state", 3, BYTES, False),
        ("parent_span_id", 4, BYTES, False),
        ("kind", 6, INT32, False),
        ("start", 7, FIXED64, False),
        ("end", 8, FIXED64, False),
        ("attributes", 9, BYTES, True),
        ("links", 13, BYTES, True),
        ("status", 15, BYTES, False),
    ),
    "Resource": (("attributes", 1, BYTES, True),),
    "KeyValue": (("key", 1, BYTES, False), ("value", 2, "AnyValue", False)),
    "AnyValue": (
        ("string_value", 1, BYTES, False),
        ("bool_value", 2, BOOL, False),
        ("int_value", 3, INT64, False),
        ("double_value", 4, DOUBLE, False),
        ("array_value", 5, "Items", False),
    ),
    "Items": (("values", 1, BYTES, True),),
    "Link": (("trace_id", 1, BYTES, False), ("span_id", 2, BYTES, False)),
    "SpanStatus": (("code", 3, INT32, False),),
    "Response": (("partial_success", 1, "PartialSuccess", False),),
    "PartialSuccess": (("rejected_spans", 1, INT64, False), ("error_message", 2, BYTES, False)),
    "Status": (("code", 1, INT32, False), ("message", 2, BYTES, False)),
}


def messages(schema: Schema) -> dict[str, Any]:
    """A class for each message of a schema, by name."""
    file = descriptor_pb2.FileDescriptorProto(
        name="quarterdeck/otlp.proto", package="quarterdeck.otlp", syntax="proto3"
    )
    for name, fields in schema.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            made = message.field.add(name=field, number=number)
            made.label = _Proto.LABEL_REPEATED if repeated else _Proto.LABEL_OPTIONAL
            if isinstance(kind, str):
                made.type, made.type_name = _Proto.TYPE_MESSAGE, f".quarterdeck.otlp.{kind}"
            else:
                made.type = kind  # type: ignore[assignment]
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    find = pool.FindMessageTypeByName
    return {name: message_factory.GetMessageClass(find(f"quarterdeck.otlp.{name}")) for name in schema}


PROTO = messages(_SCHEMA)
_NOT_PROTOBUF = "the body is not an OTLP trace request in protobuf"


def parse_protobuf(body: bytes) -> Any:
    """A slim `Request`. Raises Malformed."""
    try:
        return PROTO["Request"].FromString(body)
    except DecodeError as error:
        raise Malformed(_NOT_PROTOBUF) from error


def parse_span(wire: bytes) -> Any:
    """One slim `Span`. Raises Malformed."""
    try:
        return PROTO["Span"].FromString(wire)
    except DecodeError as error:
        raise Malformed(_NOT_PROTOBUF) from error


def parse_json(body: bytes) -> _JsonRequest:
    """A request in OTLP's JSON mapping. Raises Malformed."""
    try:
        return _json_request.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the body is not an OTLP trace request in JSON: {str(error)[:200]}") from error


def status_is_error(status: bytes) -> bool:
    """Whether an undecoded protobuf Status says ERROR; what cannot be read says nothing."""
    try:
        return bool(PROTO["SpanStatus"].FromString(status).code == 2)
    except DecodeError:
        return False


_SHORT = 128


class Wanted:
    """A set of attribute names, in the forms in which undecoded attributes are asked for them."""

    def __init__(self, *names: str) -> None:
        self.names = frozenset(names)
        # A KeyValue starts with tag 0x0a, the key's length in one byte, and the key, in every encoder's output.
        self.prefixes = frozenset(bytes((0x0A, len(name))) + name.encode() for name in names)

    def takes(self, pair: bytes) -> bool:
        """Whether an undecoded KeyValue is wanted, or written so that only decoding would tell."""
        return len(pair) > 2 and (pair[: pair[1] + 2] in self.prefixes or pair[0] != 0x0A)


def resource_attributes(resource: bytes) -> dict[str, str]:
    """All scalar attributes of an undecoded protobuf Resource, as text."""
    try:
        pairs = list(PROTO["Resource"].FromString(resource).attributes)
    except DecodeError:
        return {}
    return proto_attributes(pairs)


def proto_pick(pairs: Any, wanted: Wanted) -> tuple[bytes, ...]:
    """Those of a span's undecoded protobuf KeyValues that are wanted, still undecoded: only bytes are compared."""
    prefixes = wanted.prefixes
    return tuple(
        [pair for pair in pairs if len(pair) > 2 and (pair[: pair[1] + 2] in prefixes or pair[0] != 0x0A)]
    )


def proto_attributes(pairs: Iterable[bytes]) -> dict[str, str]:
    """Undecoded protobuf KeyValues as text, lists as their first item; maps and what cannot be read are left out."""
    found: dict[str, str] = {}
    for pair in pairs:
        told = _short_pair(pair) if len(pair) <= _SHORT else _pair(pair)
        if told is not None:
            found.setdefault(*told)
    return found


def _pair(wire: bytes) -> tuple[str, str] | None:
    try:
        parsed = PROTO["KeyValue"].FromString(wire)
    except DecodeError:
        return None
    text = _proto_text(parsed.value)
    return (_decoded(parsed.key), text) if text else None


_short_pair = lru_cache(maxsize=8192)(_pair)  # ports, methods, engines and hosts come again and again


def _proto_text(value: Any) -> str:
    if value.string_value:
        return _decoded(value.string_value)
    if value.int_value:
        return str(value.int_value)
    if value.double_value:
        return repr(value.double_value)
    return "true" if value.bool_value else _first_item(value)


def _first_item(value: Any) -> str:
    items = value.array_value.values if value.HasField("array_value") else ()
    if not items:
        return ""
    try:
        first = PROTO["AnyValue"].FromString(items[0])
    except DecodeError:
        return ""
    return "" if first.HasField("array_value") else _proto_text(first)


def _decoded(text: bytes) -> str:
    return text[:2048].decode("utf-8", "replace")


def proto_links(links: Any) -> list[tuple[bytes, bytes]]:
    """(trace id, span id) of undecoded protobuf links; unreadable ones are left out."""
    found = []
    for link in links:
        try:
            parsed = PROTO["Link"].FromString(link)
        except DecodeError:
            continue
        found.append((parsed.trace_id, parsed.span_id))
    return found


def json_attributes(raw: msgspec.Raw, wanted: Wanted | None) -> dict[str, str]:
    """The wanted (None = all) scalar attributes of a JSON attribute list, as text; {} if it is not one."""
    try:
        pairs = _json_attributes.decode(raw) or []
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    found: dict[str, str] = {}
    for pair in pairs:
        if pair.value is not None and (wanted is None or pair.key in wanted.names):
            text = _json_text(pair.value)
            if text:
                found.setdefault(pair.key, text)
    return found


def _json_text(value: AnyValue) -> str:
    if value.string_value:
        return value.string_value[:2048]
    if value.int_value is not None:
        return str(value.int_value)
    if value.double_value is not None:
        return str(value.double_value)
    if value.bool_value is not None or not value.array_value:
        return "true" if value.bool_value else ""
    try:
        items = _json_items.decode(value.array_value).values
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return "" if not items or items[0].array_value else _json_text(items[0])


def json_links(raw: msgspec.Raw) -> list[tuple[bytes, bytes]]:
    """(trace id, span id) of a JSON link list; unreadable ones are left out."""
    found = []
    try:
        for link in _json_links.decode(raw) or []:
            found.append((bytes.fromhex(link.trace_id or ""), bytes.fromhex(link.span_id or "")))
    except (msgspec.MsgspecError, ValueError):
        return found
    return found
