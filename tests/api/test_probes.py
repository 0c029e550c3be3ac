"""Probes, metrics, status, reload, documentation."""

from __future__ import annotations

import pytest

from app import api
from app.config import Secret
from app.errors import ConfigError, Problem, SchemaMismatch
from tests.support.web import KEY, OWN_BLUEPRINTS, make_site

NEAR = {"REMOTE_ADDR": "127.0.0.1"}
FAR = {"REMOTE_ADDR": "192.0.2.9"}


@pytest.mark.parametrize("path", ["/healthz", "/-/healthy", "/readyz", "/-/ready"])
def test_probes_answer_without_credentials(site, path):
    assert site.client().get(path, environ_base=FAR).status_code == 200


def test_not_ready_says_why_and_when_to_ask_again(site):
    def refuse():
        raise SchemaMismatch("older")

    site.store.check_schema = refuse
    answer = site.client().get("/readyz")
    assert (answer.status_code, answer.json["reasons"][0]["code"]) == (503, "schema")
    assert answer.headers["Retry-After"]
    assert site.client().get("/healthz").status_code == 200


def test_metrics_are_open_to_this_machine_and_to_tokens_only(site):
    assert site.client().get("/metrics", environ_base=NEAR).status_code == 200
    assert site.client().get("/metrics", environ_base=FAR).status_code == 401
    assert site.client().get("/metrics", environ_base=FAR, headers=site.token("read")).status_code == 200


def test_metrics_tell_requests_sources_and_the_audit_head(site):
    site.client("bob").get("/api/v1/services")
    answer = site.client().get("/metrics", environ_base=NEAR)
    text = answer.get_data(as_text=True)
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    assert (
        'quarterdeck_http_requests_total{endpoint="api_fleet.list_services",method="GET",status="2xx"} 1'
        in text
    )
    assert 'quarterdeck_source_up{source="demo/prometheus"} 1' in text
    assert "quarterdeck_audit_head 0" in text


def test_metrics_are_what_promtool_accepts(site):
    import shutil
    import subprocess

    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install prometheus"
    body = site.client().get("/metrics", environ_base=NEAR).data
    done = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True)
    assert b"error" not in done.stderr.lower(), done.stderr


def test_paths_never_become_labels(site):
    for i in range(50):
        site.client().get(f"/random-{i}")
    text = site.client().get("/metrics", environ_base=NEAR).get_data(as_text=True)
    assert "random-" not in text


def test_status_names_every_source_with_lag_and_cost(bob):
    rows = bob.get("/api/v1/status").json["sources"]
    assert {row["source"] for row in rows} == {"demo/kubernetes", "demo/prometheus"}
    assert all(row["lag_seconds"] is not None and row["cost"] for row in rows)


class TestReload:
    """`POST /-/reload`."""

    def make(self, tmp_path, reload):
        site = make_site(tmp_path, blueprints=(*OWN_BLUEPRINTS, *api.BLUEPRINTS))
        site.parts.reload = reload
        return site

    def test_it_reads_the_configuration_again(self, tmp_path):
        calls = []
        site = self.make(tmp_path, lambda: calls.append(1))
        assert site.client().post("/-/reload", environ_base=NEAR).status_code == 200
        assert calls == [1]

    def test_a_bad_one_is_told_with_every_problem(self, tmp_path):
        def fail():
            raise ConfigError([Problem("a.yaml:1", "wrong"), Problem("a.yaml:2", "too")])

        answer = self.make(tmp_path, fail).client().post("/-/reload", environ_base=NEAR)
        assert (answer.status_code, answer.data) == (500, b"a.yaml:1: wrong\na.yaml:2: too\n")

    def test_from_elsewhere_it_takes_an_admin(self, tmp_path):
        site = self.make(tmp_path, lambda: None)
        assert site.client().post("/-/reload", environ_base=FAR).status_code == 401
        assert (
            site.client().post("/-/reload", environ_base=FAR, headers=site.token("read")).status_code == 403
        )
        assert (
            site.client().post("/-/reload", environ_base=FAR, headers=site.token("admin")).status_code == 200
        )


def test_a_short_key_refuses_to_start(tmp_path):
    with pytest.raises(ConfigError, match="secret_key"):
        make_site(tmp_path, secret_key=Secret("secret"))


def test_the_key_is_in_no_answer(site):
    client = site.client("ada")
    for rule in site.app.url_map.iter_rules():
        if "GET" in rule.methods and not rule.arguments and rule.rule != "/api/docs":
            answer = client.get(rule.rule)
            assert KEY.reveal().encode() not in answer.data
            assert b"argon2" not in answer.data


def test_the_documentation_page_lists_every_operation(tmp_path):
    site = make_site(tmp_path, blueprints=None, own_templates=False)
    page = site.client().get("/api/docs").get_data(as_text=True)
    for path in site.client().get("/api/v1/openapi.json").json["paths"]:
        assert path in page
    assert "<script>" not in page
    assert "style=" not in page
