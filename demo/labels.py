"""Names and labels of the demo's metrics, shared by the live exporters and the written history."""

from __future__ import annotations

from dataclasses import dataclass

from demo.catalog import HTTP_PORT, Endpoint, Store, Topic
from demo.plan import Plan

Labels = tuple[tuple[str, str], ...]

SERVER = "http_server_request_duration_seconds"
CLIENT = "http_client_request_duration_seconds"
DATABASE = "db_client_operation_duration_seconds"
PROCESS = "messaging_process_duration_seconds"
SEND = "messaging_client_operation_duration_seconds"


@dataclass(frozen=True, slots=True)
class Metric:
    """A family and the labels of one of its series, without those of the pod."""

    family: str
    labels: Labels


def written(labels: Labels) -> str:
    """Labels as the text format has them, without braces; values escaped."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def address_of(plan: Plan, target: Endpoint | Store | Topic) -> tuple[str, int]:
    """Host and port under which callers know a target; services by their full cluster name."""
    if not isinstance(target, Endpoint):
        return target.host, target.port
    service = plan.catalog.services[plan.endpoint_service[plan.target_at[target.key]]]
    return f"{service.name}.{service.namespace}.svc.cluster.local", HTTP_PORT


def served(plan: Plan, endpoint: Endpoint, version: str) -> list[Metric]:
    """One metric per outcome of a request (demo.ledger.OUTCOMES); of a consumer, per outcome of a message."""
    who = (("service", endpoint.service), ("version", version))
    if endpoint.topic:
        topic = next(t for t in plan.catalog.topics if t.name == endpoint.topic)
        what = _messaging(plan, topic, "process")
        group = (("messaging_consumer_group_name", endpoint.service),)
        failures = ("", "", "ProcessingError", "overload", "timeout")
        ends: list[Labels] = [(("error_type", failure),) if failure else () for failure in failures]
        return [Metric(PROCESS, (*who, *what, *group, *end)) for end in ends]
    codes = (endpoint.success, 404, 500, 503, 504)
    route = (("route", endpoint.route), ("method", endpoint.method))
    return [Metric(SERVER, (*who, *route, ("status_code", str(code)))) for code in codes]


def called(plan: Plan, call: int, version: str) -> list[Metric]:
    """One metric per outcome of a call (demo.ledger.CALL_OUTCOMES)."""
    target = plan.targets[plan.target[call]]
    source = plan.catalog.endpoints[plan.source[call]]
    host, port = address_of(plan, target)
    who = (("service", source.service), ("version", version))
    where = (("server_address", host), ("server_port", str(port)))
    operation = plan.catalog.calls[call].operation
    if isinstance(target, Topic):
        timeout = (("error_type", "timeout"),)
        what = _messaging(plan, target, "send")
        return [Metric(SEND, (*who, *what, *end)) for end in ((), timeout, timeout)]
    if isinstance(target, Store) and target.engine != "http":
        what = (
            ("db_system_name", target.engine),
            ("db_namespace", target.database),
            ("db_operation_name", operation),
        )
        ends: tuple[Labels, ...] = ((), (("error_type", "OperationalError"),), (("error_type", "timeout"),))
        return [Metric(DATABASE, (*who, *what, *where, *end)) for end in ends]
    method = target.method if isinstance(target, Endpoint) else operation
    success = str(target.success if isinstance(target, Endpoint) else 200)
    answers: tuple[Labels, ...] = (
        (("http_response_status_code", success),),
        (("http_response_status_code", "500"), ("error_type", "500")),
        (("error_type", "timeout"),),
    )
    return [Metric(CLIENT, (*who, ("http_request_method", method), *where, *end)) for end in answers]


def _messaging(plan: Plan, topic: Topic, operation: str) -> Labels:
    host, port = address_of(plan, topic)
    return (
        ("messaging_system", topic.system),
        ("messaging_destination_name", topic.name),
        ("messaging_operation_type", operation),
        ("server_address", host),
        ("server_port", str(port)),
    )
