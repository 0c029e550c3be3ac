from __future__ import annotations

from copy import deepcopy
from decimal import Decimal

import pytest

from app.actions import forecast, guardrails
from app.actions.quantity import number
from app.model.action import Target, Verdict
from tests.support.fake_kubernetes_writes import body_of

TARGET = Target("demo", "shop", "Deployment", "checkout")


@pytest.fixture
def live():
    return deepcopy(body_of("rollback/1_before_deployment_checkout"))


def of(live, autoscaler=None, wanted=4):
    return forecast.of_replicas(live, autoscaler, wanted, TARGET)


def test_a_field_nobody_else_sets_stays(live):
    (found,) = of(live)
    assert (found.field, found.sticks, found.by) == ("spec.replicas", True, "")


def test_a_server_side_applier_of_this_very_field_takes_it_back(live):
    fields = {"f:spec": {"f:replicas": {}}}
    live["metadata"]["managedFields"] = [
        {"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": fields}
    ]
    (found,) = of(live)
    assert (found.sticks, found.by) == (False, "kustomize-controller")
    live["metadata"]["managedFields"][0]["fieldsV1"] = {"f:spec": {"f:template": {}}}
    assert of(live)[0].sticks is True


def test_argo_counts_only_when_its_mark_names_this_object(live):
    notes = live["metadata"].setdefault("annotations", {})
    notes["argocd.argoproj.io/tracking-id"] = "web:apps/Deployment:shop/checkout"
    assert of(live)[0].by == "Argo CD application web"
    notes["argocd.argoproj.io/tracking-id"] = "web:apps/Deployment:shop/copied-from"
    assert of(live)[0].by == ""


def test_flux_and_helm_are_known_by_their_labels(live):
    labels = live["metadata"].setdefault("labels", {})
    labels["kustomize.toolkit.fluxcd.io/name"] = "apps"
    labels["app.kubernetes.io/managed-by"] = "Helm"
    assert next(found.by for found in of(live)) == "Flux Kustomization apps"
    assert [found.sticks for found in of(live)] == [None, True]
    live["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/reconcile"] = "disabled"
    assert next(found.by for found in of(live)).startswith("Helm")


def autoscaler(name="checkout", low=3, high=6):
    return {
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "checkout"},
            "minReplicas": low,
            "maxReplicas": high,
        },
    }


@pytest.mark.parametrize(
    ("wanted", "sticks", "words"),
    [
        (2, False, "outside its 3 to 6"),
        (4, False, "15 s to 5 min"),
        (9, False, "its maximum is 6"),
        (0, True, "switch the autoscaler off"),
    ],
)
def test_what_an_autoscaler_does_with_a_number(live, wanted, sticks, words):
    (found,) = of(live, autoscaler(), wanted)
    assert found.sticks is sticks
    assert words in found.why


def test_an_autoscaler_of_another_workload_is_none_of_ours():
    other = autoscaler() | {"spec": {"scaleTargetRef": {"kind": "StatefulSet", "name": "checkout"}}}
    assert forecast.autoscaler_of([other, {}], TARGET) is None
    assert forecast.autoscaler_of([other, autoscaler()], TARGET) is not None
    assert "KEDA" in forecast.of_replicas({}, autoscaler("keda-hpa-x"), 4, TARGET)[0].by


def test_who_scaled_last_is_told_by_the_recorded_manager_and_unknown_after_zero():
    assert forecast.manager_of_replicas(body_of("hpa/after_scale_up_deployment")) == "kube-controller-manager"
    assert forecast.manager_of_replicas(body_of("hpa/scale_to_zero_deployment")) == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", "2"),
        ("250m", "0.25"),
        ("1Gi", str(2**30)),
        ("1e3", "1000"),
        ("0.5", "0.5"),
        ("3k", "3000"),
        (4, "4"),
    ],
)
def test_quantities_are_numbers(text, value):
    assert number(text) == Decimal(value)


@pytest.mark.parametrize("text", [None, "", "abc", "1.2.3", "1Qi", "--1"])
def test_what_is_no_quantity_is_unknown(text):
    assert number(text) is None


def quota(hard, used):
    return {"metadata": {"name": "q"}, "status": {"hard": hard, "used": used}}


@pytest.mark.parametrize(
    ("hard", "used", "more", "verdict"),
    [
        ({"pods": "5"}, {"pods": "3"}, 2, Verdict.PASS),
        ({"pods": "5"}, {"pods": "3"}, 3, Verdict.REFUSE),
        ({"pods": "5"}, {"pods": "5"}, -1, Verdict.PASS),
        ({"requests.cpu": "1"}, {"requests.cpu": "500m"}, 2, Verdict.PASS),
        ({"requests.cpu": "1"}, {"requests.cpu": "500m"}, 3, Verdict.REFUSE),
        ({"limits.memory": "1Gi"}, {"limits.memory": "512Mi"}, 3, Verdict.REFUSE),
        ({"secrets": "1"}, {"secrets": "1"}, 3, Verdict.PASS),
        ({"pods": "nonsense"}, {}, 3, Verdict.PASS),
    ],
)
def test_headroom_is_computed_from_every_quota(hard, used, more, verdict):
    resources = {"requests": {"cpu": "250m"}, "limits": {"memory": "256Mi"}}
    live = {"spec": {"template": {"spec": {"containers": [{"resources": resources}]}}}}
    (check,) = guardrails.quota([quota(hard, used)], live, more)
    assert check.verdict is verdict
