"""OTLP trace messages, from a descriptor of our own with the field numbers of opentelemetry-proto 1.x.

The full schema is not needed at run time: only what the demo writes. The names carry our own package, so that
both may live in one process.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "quarterdeck.demo.otlp"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bool": _Field.TYPE_BOOL,
    "int64": _Field.TYPE_INT64,
    "double": _Field.TYPE_DOUBLE,
    "bytes": _Field.TYPE_BYTES,
    "fixed64": _Field.TYPE_FIXED64,
    "fixed32": _Field.TYPE_FIXED32,
    "int32": _Field.TYPE_INT32,
}
# message -> field -> (number, type); a leading * repeats, a type that is no scalar is a message
_SCHEMA: dict[str, dict[str, tuple[int, str]]] = {
    "AnyValue": {
        "string_value": (1, "string"),
        "bool_value": (2, "bool"),
        "int_value": (3, "int64"),
        "double_value": (4, "double"),
    },
    "KeyValue": {"key": (1, "string"), "value": (2, "AnyValue")},
    "Resource": {"attributes": (1, "*KeyValue")},
    "Scope": {"name": (1, "string"), "version": (2, "string")},
    "Event": {"time_unix_nano": (1, "fixed64"), "name": (2, "string"), "attributes": (3, "*KeyValue")},
    "Link": {
        "trace_id": (1, "bytes"),
        "span_id": (2, "bytes"),
        "trace_state": (3, "string"),
        "flags": (6, "fixed32"),
    },
    "Status": {"message": (2, "string"), "code": (3, "int32")},
    "Span": {
        "trace_id": (1, "bytes"),
        "span_id": (2, "bytes"),
        "trace_state": (3, "string"),
        "parent_span_id": (4, "bytes"),
        "name": (5, "string"),
        "kind": (6, "int32"),
        "start_time_unix_nano": (7, "fixed64"),
        "end_time_unix_nano": (8, "fixed64"),
        "attributes": (9, "*KeyValue"),
        "events": (11, "*Event"),
        "links": (13, "*Link"),
        "status": (15, "Status"),
        "flags": (16, "fixed32"),
    },
    "ScopeSpans": {"scope": (1, "Scope"), "spans": (2, "*Span")},
    "ResourceSpans": {"resource": (1, "Resource"), "scope_spans": (2, "*ScopeSpans")},
    "Request": {"resource_spans": (1, "*ResourceSpans")},
}

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
ERROR = 2
SAMPLED = 1


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="quarterdeck/demo/otlp.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            made = message.field.add(name=field, number=number)
            made.label = _Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL
            _type(made, kind.lstrip("*"))
        if name == "AnyValue":
            message.oneof_decl.add(name="value")
            for made in message.field:
                made.oneof_index = 0
    return file


def _type(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    scalar = _SCALARS.get(kind)
    if scalar is None:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = scalar


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())
_REQUEST = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.Request"))


def request() -> Any:
    """An empty ExportTraceServiceRequest; its messages are filled as those of the official schema."""
    return _REQUEST()


def put(attributes: Any, key: str, value: str | int | float | bool) -> None:
    """Append one attribute (KeyValue) of the right type."""
    target = attributes.add(key=key).value
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    else:
        target.string_value = value
