"""`quarterdeck serve` as the process that a person starts."""

import signal
import socket

import pytest
import requests

from tests.support.http_fake import HttpFake, Reply
from tests.support.running import finished, serving, signed_in
from tests.support.until import until

pytestmark = pytest.mark.timeout(300)  # whole processes start, on a busy machine too

PASSWORD = "correct horse battery staple"


@pytest.fixture
def taken():
    """An address that somebody else listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield f"127.0.0.1:{held.getsockname()[1]}"


def test_it_starts_without_a_configuration_says_where_it_listens_once_and_ends_cleanly(tmp_path):
    with serving(tmp_path) as serve:
        address = serve.address()
        assert requests.get(f"{address}/login", timeout=5).status_code == 200
        assert serve.end(signal.SIGTERM) == 0
    assert [line for line in serve.out if line.startswith("Listening on")] == [f"Listening on {address}\n"]
    assert "Traceback" not in serve.errors
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600


def test_the_code_it_prints_makes_the_first_user_and_is_not_printed_again(tmp_path):
    with serving(tmp_path) as serve:
        address = serve.address()
        code = serve.line(r"/setup with the code (\S+)$")[1]
        form = {"username": "alice", "password": PASSWORD, "code": code}
        answer = requests.post(f"{address}/setup", form, headers={"Origin": address}, timeout=10)
        assert answer.status_code == 200
        assert requests.get(f"{address}/setup", timeout=5).status_code == 404
        serve.end()
    with serving(tmp_path) as serve:
        with signed_in(serve.address(), "alice", PASSWORD) as session:
            assert session.get(f"{serve.address()}/", timeout=5).ok
        serve.end()
    assert "code" not in "".join(serve.out)
    assert PASSWORD not in serve.errors


def test_each_start_without_a_user_makes_the_code_before_it_void(tmp_path):
    codes = []
    for _ in range(2):
        with serving(tmp_path) as serve:
            codes.append(serve.line(r"/setup with the code (\S+)$")[1])
            if len(codes) == 2:
                form = {"username": "alice", "password": PASSWORD, "code": codes[0]}
                address = serve.address()
                answer = requests.post(f"{address}/setup", form, headers={"Origin": address}, timeout=10)
                assert answer.status_code == 422
            serve.end()
    assert codes[0] != codes[1]


def test_a_taken_address_is_refused_by_the_name_of_its_setting(tmp_path, taken):
    with serving(tmp_path, "--listen", taken) as serve:
        assert serve.process.wait(20) == 2
    assert f"server.listen: cannot listen on {taken}: Address already in use" in serve.errors
    assert "Traceback" not in serve.errors


def test_a_configured_address_for_traces_that_is_taken_is_refused(tmp_path, taken):
    with serving(tmp_path, QUARTERDECK_OTLP_LISTEN=taken) as serve:
        assert serve.process.wait(20) == 2
    assert f"otlp.listen: cannot listen on {taken}" in serve.errors


def test_the_usual_address_for_traces_being_taken_is_only_told(tmp_path):
    held = socket.socket()
    try:
        held.bind(("127.0.0.1", 4318))
        held.listen()
    except OSError:
        pass  # somebody else holds it: as good
    with held, serving(tmp_path) as serve:
        assert requests.get(f"{serve.address()}/healthz", timeout=5).ok
        serve.end()
    assert "no second address for traces" in serve.errors


def test_a_configuration_error_is_told_before_anything_listens(tmp_path):
    file = tmp_path / "quarterdeck.yaml"
    file.write_text("stoer: {url: 'sqlite:///x.db'}\nclusters: [{name: 'a b'}]\n")
    with serving(tmp_path / "state", "--config", file) as serve:
        assert serve.process.wait(20) == 2
    assert f"{file}:1: stoer" in serve.errors
    assert f"{file}:2: clusters[0].name" in serve.errors
    assert finished("check", "--config", file, "--state-dir", tmp_path / "state")[0] == 2


def test_a_hang_up_signal_reads_the_configuration_again(tmp_path):
    file = tmp_path / "quarterdeck.yaml"
    file.write_text("clusters: []\n")
    with (
        HttpFake(lambda _request: Reply(500, b"no")) as prometheus,
        serving(tmp_path, "--config", file) as serve,
    ):
        serve.address()
        file.write_text(
            f"clusters: [{{name: prod, prometheus: {{url: '{prometheus.url}', interval: 1s}}}}]\n"
        )
        serve.process.send_signal(signal.SIGHUP)
        serve.line(r"configuration reloaded; clusters: prod$")
        until(lambda: prometheus.requests)
        assert requests.get(f"{serve.address()}/healthz", timeout=5).ok
        assert "restart to apply" not in serve.errors
        assert serve.end() == 0


def test_a_bad_configuration_changes_nothing_and_says_why(tmp_path):
    file = tmp_path / "quarterdeck.yaml"
    file.write_text("clusters: [{name: prod}]\n")
    with serving(tmp_path, "--config", file) as serve:
        address = serve.address()
        file.write_text("clusters: [{name: prod, promtheus: {}}]\n")
        serve.process.send_signal(signal.SIGHUP)
        serve.line(r"was not reloaded, nothing changed: .*did you mean prometheus\?")
        answer = requests.post(f"{address}/-/reload", timeout=10)
        assert answer.status_code == 500
        assert "did you mean prometheus?" in answer.text
        file.write_text("clusters: [{name: prod}]\nserver: {trusted_proxies: 1}\n")
        assert requests.post(f"{address}/-/reload", timeout=20).status_code == 200
        serve.line("restart to apply changes of: server")
        assert serve.end() == 0


def test_two_that_start_at_once_on_one_new_store_both_come_up(tmp_path):
    with serving(tmp_path) as one, serving(tmp_path) as other:
        for serve in (one, other):
            assert requests.get(f"{serve.address()}/readyz", timeout=5).status_code == 200
        assert (one.end(), other.end()) == (0, 0)
    assert "Traceback" not in one.errors + other.errors


def test_no_secret_shows_in_what_it_says(tmp_path):
    file = tmp_path / "quarterdeck.yaml"
    (tmp_path / "token").write_text("bearer-of-bad-news")
    file.write_text(
        "server: {secret_key: 'an-only-moderately-secret-key-0123456789'}\n"
        "clusters:\n"
        "  - name: prod\n"
        "    prometheus: {url: 'http://127.0.0.1:9', bearer_token_file: token, interval: 1s}\n"
    )
    with serving(tmp_path, "--config", file) as serve:
        serve.line("prod/prometheus is down")
        serve.end()
    said = serve.errors + "".join(serve.out)
    assert "bearer-of-bad-news" not in said
    assert "moderately-secret" not in said
    stamp = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) +quarterdeck\.\w+: "
    assert serve.line(stamp)
