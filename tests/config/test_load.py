import json
from datetime import timedelta
from pathlib import Path

import pytest

from app.config import Secret, load, parse_duration, schema
from app.config.duration import format_duration
from app.errors import ConfigError


def read(tmp_path: Path, text: str = "", environ: dict[str, str] | None = None, **more):
    file = tmp_path / "quarterdeck.yaml"
    file.write_text(text)
    return load(file, state_dir=tmp_path / "state", environ=environ or {}, **more)


def problems(tmp_path: Path, text: str = "", environ: dict[str, str] | None = None, **more) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, environ, **more)
    return [str(problem).replace(str(tmp_path), "") for problem in caught.value.problems]


def test_nothing_given_means_the_declared_defaults(tmp_path):
    config = load(None, state_dir=tmp_path, environ={})
    assert config.server.listen == "127.0.0.1:8080"
    assert config.store.retention.ten_minutes == timedelta(days=14)
    assert config.clusters == ()


def test_every_problem_is_reported_at_once_with_its_line(tmp_path):
    text = """server: {listen: nowhere, externl_url: x}
clusters:
  - name: a b
    prometheus: {url: ftp://x, query_timeout: 10}
  - kubernetes: {in_cluster: maybe}
store: 3
auth: {open: [otlp, foo]}
"""
    found = problems(tmp_path, text)
    assert "/quarterdeck.yaml:1: server.listen: 'nowhere' is not HOST:PORT, such as 127.0.0.1:8080" in found
    assert "/quarterdeck.yaml:1: server.externl_url: unknown setting; did you mean external_url?" in found
    assert (
        "/quarterdeck.yaml:4: clusters[0].prometheus.url: 'ftp://x' is not an http:// or https:// address"
        in found
    )
    assert any(
        line.startswith("/quarterdeck.yaml:4: clusters[0].prometheus.query_timeout: '10'") for line in found
    )
    assert "/quarterdeck.yaml:5: clusters[1].name: is missing or unusable" in found
    assert (
        "/quarterdeck.yaml:5: clusters[1].kubernetes.in_cluster: 'maybe' is neither true nor false" in found
    )
    assert "/quarterdeck.yaml:6: store: must be a mapping of settings" in found
    assert "/quarterdeck.yaml:7: auth.open[1]: 'foo' is not one of otlp" in found
    assert len(found) == 9


def test_two_clusters_may_not_share_a_name(tmp_path):
    assert "'a' is there twice" in problems(tmp_path, "clusters: [{name: a}, {name: a}]")[0]


def test_a_setting_given_twice_is_an_error_not_the_last_one_wins(tmp_path):
    assert "given twice" in problems(tmp_path, "broker: {url: memory://, url: redis://x}")[0]


@pytest.mark.parametrize("text", ["a: [", "\x00", "- a\n- b"])
def test_a_file_that_is_no_mapping_is_refused_by_name(tmp_path, text):
    assert problems(tmp_path, text)[0].startswith("/quarterdeck.yaml")


def test_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path):
    environ = {"QUARTERDECK_STORE_URL": "sqlite:///env.db", "QUARTERDECK_SERVER_LISTEN": "0.0.0.0:1"}
    config = read(
        tmp_path,
        "store: {url: 'sqlite:///file.db'}",
        environ,
        overrides={"server.listen": "127.0.0.1:9"},
    )
    assert config.store.url == "sqlite:///env.db"
    assert config.server.listen == "127.0.0.1:9"


def test_an_unknown_variable_is_an_error_that_names_the_nearest_one(tmp_path):
    found = problems(tmp_path, "", {"QUARTERDECK_STOR_URL": "x"})
    assert found == [
        "QUARTERDECK_STOR_URL: unknown environment variable; did you mean QUARTERDECK_STORE_URL?"
    ]


def test_secrets_come_from_files_and_never_show_themselves(tmp_path):
    (tmp_path / "token").write_text("canary-token\n")
    text = "clusters: [{name: a, prometheus: {url: http://p, bearer_token_file: token}}]"
    config = read(tmp_path, text)
    prometheus = config.clusters[0].prometheus
    assert prometheus is not None
    assert prometheus.bearer_token == Secret("canary-token")
    assert "canary" not in repr(config)


def test_a_secret_file_that_is_not_there_is_named(tmp_path):
    text = "clusters: [{name: a, prometheus: {url: http://p, bearer_token_file: nope}}]"
    assert "bearer_token_file" in problems(tmp_path, text)[0]


def test_the_secret_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    first, second = read(tmp_path), read(tmp_path)
    file = tmp_path / "state" / "secret.key"
    assert first.secret_key == second.secret_key
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("key", ["secret", "short", "a" * 40])
def test_a_weak_secret_key_refuses_start(tmp_path, key):
    assert "server.secret_key" in problems(tmp_path, "", {"QUARTERDECK_SECRET_KEY": key})[0]


def test_scale_out_roles_refuse_start_without_a_key(tmp_path):
    assert "QUARTERDECK_SECRET_KEY_FILE" in problems(tmp_path, "", make_key=False)[0]


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("1h30m", 5400), ("14d", 1209600), ("250ms", 0.25)]
)
def test_durations_read_and_write_the_prometheus_form(text, seconds):
    value = parse_duration(text)
    assert value.total_seconds() == seconds
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize("text", ["", "10", "5 m", "m5", "-3s", "1h 2m"])
def test_a_bad_duration_says_how_to_write_it(text):
    with pytest.raises(ValueError, match="write it like"):
        parse_duration(text)


def test_the_schema_knows_every_setting_and_refuses_others():
    made = json.loads(json.dumps(schema()))
    cluster = made["properties"]["clusters"]["items"]
    assert cluster["required"] == ["name"]
    assert cluster["additionalProperties"] is False
    assert cluster["properties"]["prometheus"]["properties"]["query_timeout"]["default"] == "10s"
    assert "bearer_token_file" in cluster["properties"]["prometheus"]["properties"]
    assert "state_dir" not in made["properties"]


def test_shares_and_factors_are_numbers_or_percentages(tmp_path):
    text = """health:
  rules:
    - {match: {name: pay}, errors_degraded: 5%, errors_failing: 0.25, latency_ratio_degraded: 150%, judge: [errors]}
    - {match: {name: pay}, latency_degraded: 300ms, judge: []}
"""
    first, second = read(tmp_path, text).health.rules
    assert (first.errors_degraded, first.errors_failing, first.latency_ratio_degraded) == (0.05, 0.25, 1.5)
    assert (first.judge, second.judge, second.errors_degraded) == (("errors",), (), None)
    assert second.latency_degraded == timedelta(milliseconds=300)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("errors_failing: 500%", "must be more than 0 and at most 1"),
        ("errors_failing: inf", "'inf' is no number such as 1.5 or 5%"),
        ("errors_failing: -1", "'-1' is no number"),
        ("latency_ratio_failing: 0.5", "must be more than 1"),
        ("judge: [speed]", "'speed' is not one of errors, latency, volume"),
        ("match: {zone: a}", "'zone' is no field of what health is judged of"),
    ],
)
def test_limits_that_make_no_sense_are_refused_by_name(tmp_path, setting, message):
    match = "" if setting.startswith("match") else "match: {name: pay}, "
    (found,) = problems(tmp_path, f"health: {{rules: [{{{match}{setting}}}]}}")
    assert "health.rules[0]." in found
    assert message in found


def test_the_schema_takes_percentages():
    rules = schema()["properties"]["health"]["properties"]["rules"]["items"]["properties"]
    assert rules["errors_failing"]["anyOf"][1]["pattern"]


def test_groups_of_hosts_are_read_and_patterns_that_might_never_end_are_refused(tmp_path):
    text = 'identity: {externals: [{match: "(.+)[.]s3[.]example", name: "s3 $1"}]}'
    (found,) = read(tmp_path, text).identity.all
    assert (found.match, found.name) == ("(.+)[.]s3[.]example", "s3 $1")
    for pattern in ("(a+)+", "(?:x|b*)+", "((a{2,})c)*"):
        (problem,) = problems(tmp_path, f'identity: {{externals: [{{match: "{pattern}", name: x}}]}}')
        assert "identity.externals[0].match" in problem
        assert "repeats a repetition" in problem
    (problem,) = problems(tmp_path, 'identity: {externals: [{match: "(", name: x}]}')
    assert "is no regular expression" in problem
