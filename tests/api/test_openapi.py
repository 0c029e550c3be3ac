"""The OpenAPI document says what is there, and answers are as it says."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.api import document, shapes
from app.api.operation import Operation
from app.web import problem
from app.web.limits import Taken
from tests.support import small_fleet as fleet

ADDRESS = "/api/v1/openapi.json"
WORKLOAD = "/api/v1/workloads/demo/shop/Deployment/order"


@pytest.fixture
def spec(bob):
    answer = bob.get(ADDRESS)
    assert answer.status_code == 200
    return answer.json


def test_it_is_open_api_3_1_and_public(site, spec):
    assert spec["openapi"] == "3.1.0"
    assert site.client().get(ADDRESS).status_code == 200


def test_every_route_under_api_v1_is_in_it_with_every_method(site, spec):
    for rule in site.app.url_map.iter_rules():
        if rule.rule.startswith("/api/v1"):
            described = spec["paths"].get(document.path_of(rule), {})
            methods = {method.lower() for method in rule.methods - {"HEAD", "OPTIONS"}}
            assert methods <= set(described), rule.rule


def test_every_reference_leads_somewhere(spec):
    known = set(spec["components"]["schemas"])

    def walk(value):
        if isinstance(value, dict):
            if "$ref" in value:
                assert value["$ref"].rpartition("/")[2] in known
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)

    walk(spec)


def test_every_operation_tells_what_it_does_and_needs(spec):
    ids = [one["operationId"] for methods in spec["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids))
    for methods in spec["paths"].values():
        for one in methods.values():
            assert one["summary"]
            assert "Needs the permission" in one["description"]


def test_reads_answer_exactly_the_declared_shape(site, bob):
    paths = {
        "api_status.status": "/api/v1/status",
        "api_fleet.list_clusters": "/api/v1/clusters",
        "api_fleet.list_services": "/api/v1/services",
        "api_fleet.one_service": f"/api/v1/services/{fleet.ORDER}",
        "api_fleet.one_node": f"/api/v1/nodes?id={fleet.DATABASE}",
        "api_series.of_service": f"/api/v1/services/{fleet.ORDER}/series",
        "api_series.of_node": f"/api/v1/nodes/series?id={fleet.DATABASE}",
        "api_topology.topology": "/api/v1/topology",
        "api_impact.impact": f"/api/v1/topology/impact?node={fleet.DATABASE}",
        "api_traces.of_service": f"/api/v1/services/{fleet.ORDER}/traces",
        "api_traces.of_node": f"/api/v1/nodes/traces?id={fleet.ORDER}",
        "api_workloads.one_workload": WORKLOAD,
        "api_workloads.pods": f"{WORKLOAD}/pods",
        "api_workloads.revisions": f"{WORKLOAD}/revisions",
        "api_audit.list_audit": "/api/v1/audit",
        "api_actions.list_actions": "/api/v1/actions",
        "api_tokens.list_tokens": "/api/v1/tokens",
    }
    for endpoint, path in paths.items():
        declared: Operation = site.app.view_functions[endpoint].operation
        answer = bob.get(path)
        assert answer.status_code == 200, path
        msgspec.json.decode(answer.data, type=declared.answer)
        assert isinstance(answer.json["freshness"], list), path
        assert answer.json["as_of"], path


@pytest.mark.parametrize("path", ["/api/v1/nodes", "/api/v1/nothing", "/api/v1/services?limit=x"])
def test_errors_answer_the_declared_problem(bob, path):
    answer = bob.get(path)
    assert answer.mimetype == "application/problem+json"
    msgspec.json.decode(answer.data, type=shapes.Problem)


def test_problem_types_are_listed_on_the_documentation_page(bob):
    listed = {row["type"] for row in problem.catalogue()}
    kind = bob.get("/api/v1/nothing").json["type"]
    assert kind.partition("#problem-")[2] in listed


def test_the_documents_own_entity_tag_spares_sending_it_again(bob):
    tag = bob.get(ADDRESS).headers["ETag"]
    assert bob.get(ADDRESS, headers={"If-None-Match": tag}).status_code == 304


def test_no_field_of_an_answer_is_named_like_a_secret(spec):
    for name, schema in spec["components"]["schemas"].items():
        for field in schema.get("properties", {}):
            if (name, field) != ("TokenMade", "token"):
                assert not {"password", "secret", "token", "key"} & set(field.lower().split("_")), (
                    name,
                    field,
                )


CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
QUICK = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)


@pytest.mark.parametrize("mode", GenerationMode)
def test_whatever_is_sent_the_answer_is_one_that_is_documented(site, mode):
    """A short run over every operation with generated input, of the declared form and not."""
    site.parts.limits.take = lambda name, key: Taken(True, 100, 99, 0.0, 0.0)
    schema = schemathesis.openapi.from_wsgi(ADDRESS, site.app)
    headers = site.token("admin") | {"Accept-Encoding": "identity"}
    tried = []
    for found in schema.get_all_operations():
        operation = found.ok()

        def send(case):
            case.validate_response(case.call(headers=headers), checks=CHECKS)

        with suppress(Unsatisfiable):  # an operation without parameters has no wrong ones
            QUICK(given(case=operation.as_strategy(generation_mode=mode))(send))()
            tried.append(operation.label)
    assert len(tried) >= 20


@pytest.mark.parametrize(
    ("path", "pick", "shape"),
    [
        ("/api/v1/topology", lambda found: found["nodes"][0], "TopologyNode"),
        ("/api/v1/topology", lambda found: found["edges"][0], "TopologyEdge"),
        ("/api/v1/services", lambda found: found["items"][0], "ServiceRow"),
        (f"/api/v1/services/{fleet.ORDER}", lambda found: found, "ServiceDetail"),
        (f"/api/v1/services/{fleet.ORDER}", lambda found: found["callers"][0], "CallRow"),
        ("/api/v1/status", lambda found: found, "StatusAnswer"),
        ("/api/v1/status", lambda found: found["queues"][0], "QueueRow"),
    ],
)
def test_every_member_of_an_answer_is_described(bob, spec, path, pick, shape):
    described = spec["components"]["schemas"][shape]["properties"]
    assert pick(bob.get(path).json).keys() == described.keys()
