from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.clock import frozen_at, now
from app.errors import BadInput
from app.store import idempotency, leases, sessions, settings, tokens, users
from app.store.engine import Store
from tests.support.factories import NOON

HOUR = timedelta(hours=1)


def everything_stored(session) -> str:
    rows = [
        session.execute(text(f"SELECT * FROM {name}")).all() for name in ("sessions", "tokens", "settings")
    ]
    return repr(rows)


def test_a_name_is_given_once(store: Store):
    with store.begin() as session:
        assert users.count(session) == 0
        assert users.add(session, "alice", "responder", "hash")
        assert not users.add(session, "alice", "admin", "other")
        assert users.get(session, "alice").role == "responder"
        assert users.get(session, "charlie") is None
        assert [user.name for user in users.all_users(session)] == ["alice"]


@pytest.mark.parametrize(
    "change",
    [
        lambda session: users.set_role(session, "alice", "viewer"),
        lambda session: users.set_password(session, "alice", "new"),
        lambda session: users.disable(session, "alice"),
    ],
)
def test_changing_a_user_ends_their_sessions_and_nobody_elses(store: Store, change):
    with store.begin() as session:
        for name in ("alice", "bob"):
            users.add(session, name, "responder", "hash")
        alice, _ = sessions.start(session, "alice")
        bob, _ = sessions.start(session, "bob")
        assert change(session)
        assert sessions.find(session, alice) is None
        assert sessions.find(session, bob) is not None


def test_changing_nobody_says_so(store: Store):
    with store.begin() as session:
        assert not users.disable(session, "charlie")
        assert users.admins(session) == 0


def test_neither_session_ids_nor_tokens_nor_codes_are_stored(store: Store):
    with store.begin() as session:
        opaque, _ = sessions.start(session, "alice")
        token, _ = tokens.create(session, name="ci", owner="alice", scopes=["read"], expires_at=now() + HOUR)
        code = settings.new_setup_code(session)
        kept = everything_stored(session)
    assert not [secret for secret in (opaque, token, token[-43:], code) if secret in kept]


def test_a_session_ends_when_idle_for_eight_hours_and_after_a_day_at_the_latest(store: Store):
    with store.begin() as session:
        with frozen_at(NOON):
            opaque, row = sessions.start(session, "alice")
        with frozen_at(NOON + 7 * HOUR):
            assert sessions.stale(sessions.find(session, opaque))
        with frozen_at(NOON + 8 * HOUR):
            assert sessions.find(session, opaque) is None
        for hours in range(7, 24, 7):
            with frozen_at(NOON + hours * HOUR):
                sessions.touch(session, row.digest)
        with frozen_at(NOON + 23 * HOUR):
            assert sessions.find(session, opaque) is not None
        with frozen_at(NOON + 24 * HOUR):
            assert sessions.find(session, opaque) is None
            assert sessions.forget_ended(session) == 1


def test_a_rotated_session_has_a_new_id_and_the_old_one_is_void(store: Store):
    with store.begin() as session:
        old, before = sessions.start(session, "alice", address="127.0.0.1")
        new, after = sessions.rotate(session, old)
        assert sessions.find(session, old) is None
        assert sessions.find(session, new) == after
        assert (after.user, after.address) == ("alice", "127.0.0.1")
        assert after.csrf != before.csrf
        assert sessions.rotate(session, old) is None


def test_all_browsers_but_this_one_can_be_signed_out(store: Store):
    with store.begin() as session:
        mine, row = sessions.start(session, "alice")
        sessions.start(session, "alice")
        assert len(sessions.of_user(session, "alice")) == 2
        assert sessions.end_all(session, "alice", but=row.digest) == 1
        assert sessions.find(session, mine) is not None
        assert sessions.end(session, row.digest)
        assert not sessions.end(session, row.digest)


def test_a_token_has_its_form_and_is_found_until_it_expires(store: Store):
    with store.begin() as session, frozen_at(NOON):
        made, token = tokens.create(
            session, name="ci", owner="alice", scopes=["read", "ingest"], expires_at=NOON + HOUR
        )
        assert re.fullmatch(r"qd_read_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", made)
        assert tokens.find(session, made) == token
        assert tokens.stale(token)
        tokens.touch(session, token.id)
        assert not tokens.stale(tokens.find(session, made))
        with frozen_at(NOON + HOUR):
            assert tokens.find(session, made) is None


def test_a_wrong_or_revoked_token_is_nobodys(store: Store):
    with store.begin() as session:
        made, token = tokens.create(
            session, name="ci", owner="alice", scopes=["read"], expires_at=now() + HOUR
        )
        wrong = made[:-1] + ("A" if made[-1] != "A" else "B")
        for presented in (
            "",
            "qd_",
            wrong,
            made + "x",
            made.replace("qd_", "xx_"),
            "qd_read_00000000_" + "a" * 43,
        ):
            assert tokens.find(session, presented) is None
        assert tokens.revoke(session, token.id)
        assert not tokens.revoke(session, token.id)
        assert tokens.find(session, made) is None
        assert tokens.all_tokens(session, "alice")[0].revoked_at is not None
        assert tokens.all_tokens(session, "bob") == []


@pytest.mark.parametrize("life", [-HOUR, timedelta(0), timedelta(days=366)])
def test_a_token_without_a_sensible_expiry_is_not_made(store: Store, life: timedelta):
    with store.begin() as session, frozen_at(NOON), pytest.raises(BadInput, match="365 days"):
        tokens.create(session, name="ci", owner="alice", scopes=["read"], expires_at=NOON + life)


def test_the_setup_code_works_exactly_once(store: Store):
    with store.begin() as session:
        void = settings.new_setup_code(session)
        code = settings.new_setup_code(session)
        assert not settings.use_setup_code(session, void)
        assert settings.use_setup_code(session, f" {code}\n")
        assert not settings.use_setup_code(session, code)


def test_a_lease_has_one_holder_until_it_runs_out(store: Store):
    with store.begin() as session, frozen_at(NOON):
        assert leases.acquire(session, "beat", "one", HOUR)
        assert not leases.acquire(session, "beat", "two", HOUR)
        assert leases.acquire(session, "beat", "one", HOUR)
        with frozen_at(NOON + HOUR):
            assert leases.holder(session, "beat") is None
            assert leases.acquire(session, "beat", "two", HOUR)
            assert not leases.release(session, "beat", "one")
            assert leases.release(session, "beat", "two")
            assert leases.acquire(session, "beat", "one", HOUR)


def test_a_repeated_request_gets_the_first_answer(store: Store):
    with store.begin() as session:
        assert idempotency.claim(session, "alice", "k1", "digest") is None
        assert idempotency.claim(session, "alice", "k1", "digest") == idempotency.Answer(None)
        idempotency.remember(session, "alice", "k1", idempotency.Answer(201, b"{}", {"ETag": "x"}))
        assert idempotency.claim(session, "alice", "k1", "digest") == idempotency.Answer(
            201, b"{}", {"ETag": "x"}
        )
        assert idempotency.claim(session, "bob", "k1", "other") is None
        with pytest.raises(BadInput, match="another request"):
            idempotency.claim(session, "alice", "k1", "other")
        idempotency.abandon(session, "alice", "k1")
        assert idempotency.claim(session, "alice", "k1", "other") is None
        assert idempotency.forget(session, now() + 25 * HOUR) == 2


def test_a_request_whose_process_died_may_be_sent_again(store: Store):
    with store.begin() as session, frozen_at(NOON):
        assert idempotency.claim(session, "alice", "k", "digest") is None
    with store.begin() as session, frozen_at(NOON + timedelta(seconds=119)):
        assert idempotency.claim(session, "alice", "k", "digest") == idempotency.Answer(None)
    with store.begin() as session, frozen_at(NOON + timedelta(seconds=121)):
        assert idempotency.claim(session, "alice", "k", "digest") is None
        assert idempotency.claim(session, "alice", "k", "digest") == idempotency.Answer(None)
        idempotency.remember(session, "alice", "k", idempotency.Answer(201))
    with store.begin() as session, frozen_at(NOON + HOUR):
        assert idempotency.claim(session, "alice", "k", "digest") == idempotency.Answer(201)
