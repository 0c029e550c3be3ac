"""Tokens through the API."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app import clock
from app.store import audit


def make(client, **over):
    return client.post("/api/v1/tokens", json={"name": "ci", "scopes": ["read"]} | over)


def test_a_token_is_shown_once_and_works(site, bob):
    made = make(bob)
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    text = made.json["token"]
    assert text.startswith("qd_read_")
    assert (
        site.client().get("/api/v1/services", headers={"Authorization": f"Bearer {text}"}).status_code == 200
    )
    listed = bob.get("/api/v1/tokens")
    assert listed.json["items"][0]["id"] == made.json["id"]
    assert text not in listed.get_data(as_text=True)


def test_an_ended_token_is_refused(site, bob):
    made = make(bob).json
    assert bob.delete(f"/api/v1/tokens/{made['id']}").status_code == 204
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert site.client().get("/api/v1/services", headers=headers).status_code == 401
    assert bob.delete(f"/api/v1/tokens/{made['id']}").status_code == 404


def test_an_expired_token_is_refused(site, bob):
    text = make(bob, expires="1h").json["token"]
    with clock.frozen_at(clock.now() + timedelta(hours=1, seconds=1)):
        answer = site.client().get("/api/v1/services", headers={"Authorization": f"Bearer {text}"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("over", "status"),
    [
        ({"expires": "366d"}, 400),
        ({"expires": "soon"}, 400),
        ({"expires": "0s"}, 400),
        ({"scopes": []}, 422),
        ({"scopes": ["everything"]}, 400),
        ({"scopes": ["action:<script>"]}, 400),
        ({"scopes": ["admin"]}, 403),
        ({"scopes": ["action:scale@shop"]}, 403),
        ({"name": ""}, 422),
        ({"name": "a\nb"}, 422),
        ({"surprise": 1}, 422),
    ],
)
def test_what_bob_may_not_make_is_refused(bob, over, status):
    answer = make(bob, **over)
    assert answer.status_code == status, answer.json


def test_a_token_makes_no_tokens(site):
    for scope in ("admin", "read"):
        headers = site.token(scope)
        assert site.client().post("/api/v1/tokens", json={}, headers=headers).status_code == 403
        assert site.client().get("/api/v1/tokens", headers=headers).status_code == 403


def test_nobody_ends_or_sees_the_tokens_of_others_but_an_admin(site, bob):
    made = make(bob).json
    alice, ada = site.client("alice"), site.client("ada")
    assert alice.get("/api/v1/tokens").json["items"] == []
    assert alice.delete(f"/api/v1/tokens/{made['id']}").status_code == 404
    assert [row["id"] for row in ada.get("/api/v1/tokens").json["items"]] == [made["id"]]
    assert ada.delete(f"/api/v1/tokens/{made['id']}").status_code == 204


def test_making_needs_a_recent_sign_in(bob):
    with clock.frozen_at(clock.now() + timedelta(minutes=16)):
        assert make(bob).status_code == 403


def test_making_and_ending_leave_audit_rows_without_the_secret(site, bob):
    made = make(bob).json
    bob.delete(f"/api/v1/tokens/{made['id']}")
    with site.store.reading() as session:
        rows = audit.page(session)
    assert [row.what for row in rows] == ["token.revoke", "token.create"]
    assert made["token"] not in repr(rows)


class TestIdempotency:
    """The same POST twice."""

    def test_is_done_once_and_answered_alike(self, bob):
        headers = {"Idempotency-Key": "one"}
        body = {"name": "ci", "scopes": ["read"]}
        first, second = (bob.post("/api/v1/tokens", json=body, headers=headers) for _ in range(2))
        assert (first.status_code, second.status_code) == (201, 201)
        assert second.json == first.json | {"token": None}
        assert second.headers["Idempotency-Replayed"] == "true"
        assert len(bob.get("/api/v1/tokens").json["items"]) == 1

    def test_keeps_no_secret(self, site, bob):
        body = {"name": "ci", "scopes": ["read"]}
        text = bob.post("/api/v1/tokens", json=body, headers={"Idempotency-Key": "one"}).json["token"]
        site.store.dispose()
        kept = b"".join(path.read_bytes() for path in sorted(site.config.state_dir.glob("*.db*")))
        assert text.encode() not in kept

    def test_with_another_body_is_refused(self, bob):
        headers = {"Idempotency-Key": "one"}
        bob.post("/api/v1/tokens", json={"name": "a", "scopes": ["read"]}, headers=headers)
        again = bob.post("/api/v1/tokens", json={"name": "b", "scopes": ["read"]}, headers=headers)
        assert (again.status_code, again.json["parameter"]) == (400, "Idempotency-Key")

    def test_a_refused_request_may_be_corrected_under_the_same_key(self, bob):
        headers = {"Idempotency-Key": "one"}
        assert (
            bob.post("/api/v1/tokens", json={"name": "a", "scopes": ["x"]}, headers=headers).status_code
            == 400
        )
        good = bob.post("/api/v1/tokens", json={"name": "a", "scopes": ["read"]}, headers=headers)
        assert good.status_code == 201

    def test_keys_of_two_people_are_two_keys(self, site, bob):
        headers, body = {"Idempotency-Key": "one"}, {"name": "a", "scopes": ["read"]}
        answers = [
            client.post("/api/v1/tokens", json=body, headers=headers)
            for client in (bob, site.client("alice"))
        ]
        assert answers[0].json["id"] != answers[1].json["id"]

    @pytest.mark.parametrize("key", ["", "x" * 201, "caf\u00e9"])
    def test_a_key_that_is_no_key_is_refused(self, bob, key):
        answer = bob.post(
            "/api/v1/tokens", json={"name": "a", "scopes": ["read"]}, headers={"Idempotency-Key": key}
        )
        assert answer.status_code == 400
