import io
import json

import pytest

from app import checks, cli
from app.store.engine import HEAD


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """Runs a command on its own state directory: (exit code, standard output, standard error)."""

    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = cli.main([*arguments, "--state-dir", str(tmp_path / "state")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_version_is_that_of_the_project(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("quarterdeck 0.")


def test_a_command_that_does_not_exist_is_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["fly"])
    assert ended.value.code == 2


def test_check_says_every_problem_and_exits_2(run, tmp_path):
    file = tmp_path / "quarterdeck.yaml"
    file.write_text("server: {listen: nowhere}\nstoer: {}\n")
    code, _, err = run("check", "--config", str(file))
    assert code == 2
    assert f"{file}:1: server.listen" in err
    assert "did you mean store?" in err


def test_check_of_a_sound_configuration_names_its_clusters(run, tmp_path):
    file = tmp_path / "quarterdeck.yaml"
    file.write_text("clusters: [{name: prod-eu}]\n")
    code, out, _ = run("check", "--config", str(file))
    assert (code, "prod-eu" in out) == (0, True)


def test_users_are_added_listed_and_disabled(run):
    assert run("user", "add", "alice", "--role", "responder", stdin="correct horse battery\n")[0] == 0
    assert run("user", "list")[1] == "alice\tresponder\tactive\n"
    assert run("user", "disable", "alice")[0] == 0
    assert run("user", "list")[1] == "alice\tresponder\tdisabled\n"


def test_a_name_is_taken_only_once(run):
    run("user", "add", "alice", stdin="correct horse battery\n")
    code, _, err = run("user", "add", "alice", stdin="another long password\n")
    assert code == 1
    assert "alice" in err


def test_a_token_is_printed_alone_and_what_was_done_stands_in_the_audit_log(run):
    code, out, _ = run("token", "create", "--name", "ci", "--scope", "viewer", "--expires", "30d")
    assert code == 0
    assert out.startswith("qd_viewer_")
    assert out.count("\n") == 1
    code, log, _ = run("audit", "export")
    assert [json.loads(line)["what"] for line in log.splitlines()] == ["token.create"]
    assert out.strip() not in log
    assert run("audit", "verify")[:2] == (0, "1 rows hold.\n")


@pytest.mark.parametrize("expires", ["forever", "500d"])
def test_a_token_without_a_sensible_end_is_refused(run, expires):
    code, out, err = run("token", "create", "--name", "ci", "--scope", "viewer", "--expires", expires)
    assert code in (1, 2)
    assert out == ""
    assert err


def test_migrate_says_where_the_store_stands(run):
    code, out, _ = run("migrate")
    assert code == 0
    assert out == f"The store is at {HEAD}.\n"


def test_a_worker_of_an_unknown_queue_is_usage(run):
    code, _, err = run("worker", "--queues", "collect,fly")
    assert code == 2
    assert "fly" in err


def test_check_names_files_that_are_not_there_and_patterns_that_are_none(run, tmp_path):
    file = tmp_path / "quarterdeck.yaml"
    file.write_text(
        "clusters: [{name: prod, kubernetes: {kubeconfig: /nowhere/config, act: {kubeconfig: gone}}}]\n"
    )
    code, _, err = run("check", "--config", str(file))
    assert code == 2
    assert "clusters[0].kubernetes.kubeconfig: /nowhere/config does not exist" in err
    assert f"clusters[0].kubernetes.act.kubeconfig: {tmp_path / 'gone'} does not exist" in err
    file.write_text(
        "identity:\n  rules:\n    - {match: {name: '('}, service: x}\n    - {match: {nam: x}, service: x}\n"
    )
    code, _, err = run("check", "--config", str(file))
    assert code == 2
    assert f"{file}:3: identity.rules[0].match: '(' is no regular expression" in err
    assert f"{file}:4: identity.rules[1].match: 'nam' is no field of a party" in err


def test_another_distribution_with_our_import_names_is_a_clash():
    found = checks.clashes(
        {"app": ["quarterdeck", "some-app"], "alerts": ["quarterdeck"], "flask": ["Flask"]}
    )
    assert [str(one) for one in found] == [
        "import name 'app': also belongs to some-app: install quarterdeck into an environment of its own"
    ]


@pytest.mark.parametrize("option", [("--scenario", "fire"), ("--services", "5000"), ("--speed", "0")])
def test_a_demo_that_cannot_be_is_usage_and_starts_nothing(run, tmp_path, option):
    code, _, err = run("demo", *option)
    assert code == 2
    assert err.startswith("quarterdeck demo: ")
    assert not (tmp_path / "state").exists()


def test_objectives_are_listed_and_what_is_wrong_is_told_with_its_line(run, tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("slos: [{name: up, service: shop, objective: 99.9, probe: probe_success}]\n")
    bad.write_text("slos:\n  - {name: up, service: cart, objective: 101, probe: 'sum('}\n")
    assert run("slo", "lint", str(good)) == (0, f"{good}:1: shop/up, 99.9 %, quarterdeck\n", "")
    code, _, told = run("slo", "lint", str(good), str(bad))
    assert code == 2
    assert f"{bad}:2: slos[0].objective: an objective of 101 % is none" in told
    assert f"{bad}:2: slos[0].probe: is not PromQL" in told
