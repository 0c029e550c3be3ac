"""The gate before /socket.io/: every cell of the measured table, with the gate in front."""

from __future__ import annotations

import pytest

from app.config import Server
from app.web.origin import SocketGate, allowed_origins, from_loopback, is_loopback
from tests.support.web import make_site

HANDSHAKE = "/socket.io/?EIO=4&transport=polling"
OURS = {"Origin": "http://127.0.0.1:8080"}


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path)


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {}, 200),
        ("", OURS, 200),
        ("", {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"}, 200),
        ("", {"Origin": "https://evil.example.com"}, 403),
        ("", {"Origin": "null"}, 403),
        ("", {"Origin": "https://evil.example.com", "X-Forwarded-Host": "evil.example.com"}, 403),
        ("", {"Origin": "http://127.0.0.1:9999"}, 403),
        ("", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("&j=0", {}, 403),
        ("&j=", OURS, 403),
        ("", {"Upgrade": "websocket", "Connection": "Upgrade"}, 403),
        ("", {"Upgrade": "WebSocket", "Connection": "Upgrade", "Origin": "https://evil.example.com"}, 403),
    ],
)
def test_a_handshake_comes_from_our_own_pages_or_not_at_all(site, query, headers, status):
    answer = site.client().get(HANDSHAKE + query, headers=headers)
    assert answer.status_code == status
    assert "Access-Control-Allow-Credentials" not in answer.headers
    if status == 403:
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_post_without_an_origin_is_refused(site):
    assert site.client().post(HANDSHAKE, data=b"40").status_code == 403


def test_an_empty_list_of_origins_refuses_to_start():
    for origins in ([], None, "*"):
        with pytest.raises(ValueError, match="everybody"):
            SocketGate(lambda _e, _s: [], origins, secure=False)


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (Server(), ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"]),
        (Server(listen="10.0.0.5:80"), ["http://10.0.0.5"]),
        (Server(listen="[2001:db8::1]:8080"), ["http://[2001:db8::1]:8080"]),
        (
            Server(listen="10.0.0.5:8080", external_url="https://QD.example.com/base"),
            ["https://qd.example.com", "http://10.0.0.5:8080"],
        ),
        (Server(listen="10.0.0.5:8080", external_url="https://qd.example.com:8443"),
         ["https://qd.example.com:8443", "http://10.0.0.5:8080"]),
    ],
)  # fmt: skip
def test_origins_follow_from_the_addresses(server, expected):
    assert allowed_origins(server) == expected


def test_listening_everywhere_still_names_origins():
    assert "http://127.0.0.1:8080" in allowed_origins(Server(listen="0.0.0.0:8080"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "::ffff:127.0.0.1"])
def test_loopback_is_recognised(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "10.0.0.1", "0.0.0.0", "localhost.evil.com", "127.0.0.1.evil.com", "::", "x"]
)
def test_nothing_else_is_loopback(host):
    assert not is_loopback(host)


def test_a_request_without_a_host_header_is_not_loopback():
    assert not from_loopback({"REMOTE_ADDR": "127.0.0.1"}, "127.0.0.1:8080")
