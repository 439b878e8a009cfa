from __future__ import annotations

import pytest

from deepanalyze.accounts import Principal, RequestRate, User
from deepanalyze.errors import RateLimited

ADA, BOB = (Principal(User(f"user-{name}", name, "analyst")) for name in ("ada", "bob"))
ROOT = Principal(User("user-root", "root", "admin"))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_one_user_s_haste_is_nobody_else_s() -> None:
    clock = Clock()
    rate = RequestRate(3, clock=clock)
    for _ in range(3):
        rate.take(ADA)
    with pytest.raises(RateLimited, match=r"more than 3 times in a minute \(requests_per_minute\)") as raised:
        rate.take(ADA)
    assert raised.value.retry_after_s == pytest.approx(20)
    rate.take(BOB)
    for _ in range(100):
        rate.take(ROOT)
    clock.now += 20
    rate.take(ADA)
    with pytest.raises(RateLimited):
        rate.take(ADA)
    clock.now += 3600
    for _ in range(3):
        rate.take(ADA)
    with pytest.raises(RateLimited):
        rate.take(ADA)


def test_zero_is_without_limit() -> None:
    rate = RequestRate(0)
    for _ in range(1000):
        rate.take(ADA)
