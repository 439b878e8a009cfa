"""Failed attempts to come in: limited for each address, told without the key."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from deepanalyze.accounts import FailedAttempts
from deepanalyze.accounts.buckets import MAX_REMEMBERED
from deepanalyze.errors import RateLimited

HERE = "192.0.2.7"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(clock: Clock) -> FailedAttempts:
    return FailedAttempts(20, clock=clock)


def fail(attempts: FailedAttempts, times: int, address: str = HERE) -> None:
    for _ in range(times):
        attempts.check(address, "wrong")
        attempts.failed(address, "wrong")


def limited(attempts: FailedAttempts, address: str = HERE, key: str = "any") -> bool:
    try:
        attempts.check(address, key)
    except RateLimited:
        return True
    return False


def test_after_so_many_in_a_minute_no_key_is_looked_at(attempts: FailedAttempts) -> None:
    fail(attempts, 20)
    with pytest.raises(RateLimited, match=r"20 a minute \(auth_failures_per_minute\)") as caught:
        attempts.check(HERE, "even a right one")
    assert caught.value.retry_after_s == pytest.approx(3)
    assert "even a right one" not in caught.value.message
    assert not limited(attempts, "192.0.2.8")


def test_time_gives_attempts_back(attempts: FailedAttempts, clock: Clock) -> None:
    fail(attempts, 20)
    clock.now += 3.1
    fail(attempts, 1)
    assert limited(attempts)
    clock.now += 3600
    fail(attempts, 20)
    assert limited(attempts)


def test_few_failures_never_limit(attempts: FailedAttempts, clock: Clock) -> None:
    for _ in range(1000):
        fail(attempts, 1)
        clock.now += 3.01
    assert not limited(attempts)


def test_a_key_that_was_accepted_is_not_kept_out_by_others(attempts: FailedAttempts) -> None:
    attempts.accepted("right")
    fail(attempts, 20)
    assert not limited(attempts, key="right")
    assert limited(attempts, key="Right")
    attempts.failed(HERE, "right")  # revoked meanwhile
    assert limited(attempts, key="right")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("a socket", "a socket", True),
    ],
)
def test_what_counts_as_one_address(attempts: FailedAttempts, one: str, other: str, same: bool) -> None:
    fail(attempts, 20, one)
    assert limited(attempts, other) is same


@pytest.mark.requirement("7.2")
def test_the_log_tells_once_in_a_window_and_never_the_key(attempts: FailedAttempts, clock: Clock) -> None:
    with capture_logs() as records:
        for _ in range(20):
            attempts.failed(HERE, "sk-da-secret")
        assert [record["event"] for record in records] == ["authentication failed", "authentication limited"]
        assert {record["address"] for record in records} == {HERE}
        clock.now += 61
        fail(attempts, 2)
    assert [record["event"] for record in records][2:] == ["authentication failed"]
    assert "secret" not in str(records)


def test_memory_is_bounded(attempts: FailedAttempts) -> None:
    for number in range(MAX_REMEMBERED + 5):
        attempts.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "wrong")
        attempts.accepted(str(number))
    assert len(attempts._buckets) == len(attempts._accepted) == MAX_REMEMBERED
