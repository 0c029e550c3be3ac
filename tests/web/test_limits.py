"""Token buckets."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.web import limits
from app.web.limits import Limit, Limits
from tests.support.web import Ticking, make_site


@pytest.fixture
def time():
    return Ticking()


@pytest.fixture
def buckets(time):
    return Limits({"few": Limit(3, timedelta(seconds=30))}, monotonic=time)


def test_a_burst_is_allowed_and_then_one_every_ten_seconds(buckets, time):
    assert [buckets.take("few", "a").allowed for _ in range(4)] == [True, True, True, False]
    time.tick(9.9)
    assert not buckets.take("few", "a").allowed
    time.tick(0.2)
    assert buckets.take("few", "a").allowed


def test_callers_do_not_share(buckets):
    for _ in range(3):
        buckets.take("few", "a")
    assert buckets.take("few", "b").allowed


def test_the_refusal_says_when_to_come_back(buckets):
    for _ in range(3):
        buckets.take("few", "a")
    refused = buckets.take("few", "a")
    assert (refused.remaining, refused.retry_after) == (0, pytest.approx(10))
    assert refused.reset == pytest.approx(30)


def test_what_is_given_back_can_be_taken_again_but_never_more(buckets):
    for _ in range(3):
        buckets.take("few", "a")
    for _ in range(9):
        buckets.give_back("few", "a")
    assert [buckets.take("few", "a").allowed for _ in range(4)] == [True, True, True, False]


def test_many_callers_do_not_fill_the_memory(buckets, time, monkeypatch):
    monkeypatch.setattr(limits, "_MOST_BUCKETS", 100)
    for i in range(1000):
        buckets.take("few", str(i))
        time.tick(1)
    assert len(buckets._buckets) <= 100


def test_the_api_tells_what_is_left_and_when_it_is_too_much(tmp_path):
    site = make_site(tmp_path, blueprints=("app.api.status:blueprint",))
    client, headers = site.client(), site.token("read")
    first = client.get("/api/v1/status", headers=headers)
    assert first.headers["RateLimit-Limit"] == "100"
    assert first.headers["RateLimit-Remaining"] == "99"
    for _ in range(99):
        client.get("/api/v1/status", headers=headers)
    refused = client.get("/api/v1/status", headers=headers)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.json["type"].endswith("too-many")
    site.time.tick(1)
    assert client.get("/api/v1/status", headers=headers).status_code == 200
