from __future__ import annotations

import asyncio
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from deepanalyze.fairness import FairSlots


class Desk:
    """Holders that end when they are told, and the order in which they were served."""

    def __init__(self, slots: FairSlots) -> None:
        self.slots = slots
        self.served: list[str] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def come(self, *names: str) -> None:
        """`ada-1` is of the user `ada`."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._hold(name))
            await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]
        await asyncio.sleep(0)

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.wait([self._tasks[name]])
        await asyncio.sleep(0)

    async def _hold(self, name: str) -> None:
        async with self.slots.slot(name.partition("-")[0]):
            self.served.append(name)
            await self._ends[name].wait()


async def test_who_holds_fewest_goes_first() -> None:
    desk = Desk(FairSlots(3))
    await desk.come("ada-1", "ada-2", "cy-1", "ada-3", "ada-4", "bob-1")
    assert desk.served == ["ada-1", "ada-2", "cy-1"]
    await desk.end("ada-1")
    assert desk.served[3:] == ["bob-1"]
    await desk.end("cy-1")
    assert desk.served[4:] == ["ada-3"]


async def test_nobody_has_all_of_several() -> None:
    desk = Desk(FairSlots(2))
    await desk.come("ada-1", "ada-2", "bob-1")
    assert desk.served == ["ada-1", "bob-1"]


async def test_with_one_slot_users_take_turns() -> None:
    desk = Desk(FairSlots(1))
    await desk.come("ada-1", "ada-2", "ada-3", "ada-4", "bob-1", "bob-2")
    for _ in range(5):
        await desk.end(desk.served[-1])
    assert desk.served == ["ada-1", "ada-2", "bob-1", "ada-3", "bob-2", "ada-4"]


async def test_newcomers_do_not_pass_by_for_ever() -> None:
    desk = Desk(FairSlots(1))
    await desk.come("ada-1", "bob-1")
    for n in range(3):
        await desk.come(f"new{n}-1")
    await desk.end("ada-1")
    assert desk.served[-1] == "bob-1"


async def test_one_user_never_holds_more_than_its_share() -> None:
    desk = Desk(FairSlots(3, per_user=2))
    await desk.come("ada-1", "ada-2", "ada-3", "bob-1")
    assert desk.served == ["ada-1", "ada-2", "bob-1"]
    assert not desk.slots.free_for("ada")
    await desk.end("bob-1")
    assert desk.served[3:] == []
    await desk.end("ada-1")
    assert desk.served[3:] == ["ada-3"]


async def test_who_gives_up_leaves_the_line_and_gives_back_what_it_just_got() -> None:
    desk = Desk(FairSlots(1))
    await desk.come("ada-1", "bob-1", "bob-2", "cy-1")
    await desk.cancel("bob-1")
    desk._ends["ada-1"].set()
    await desk._tasks["ada-1"]
    await desk.cancel("bob-2")
    assert desk.served[-1] == "cy-1"
    await desk.end("cy-1")
    assert desk.slots.unused


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32))
def test_no_slot_is_lost_and_no_limit_broken(total: int, per_user: int, seed: int) -> None:
    chance = random.Random(seed)
    slots = FairSlots(total, per_user=per_user)
    held: Counter[str] = Counter()
    ended = 0

    async def hold(user: str) -> None:
        nonlocal ended
        async with slots.slot(user):
            held[user] += 1
            try:
                assert held.total() <= total
                assert held[user] <= max(1, min(total - 1, per_user))
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                held[user] -= 1
        ended += 1

    async def run() -> None:
        tasks = [asyncio.create_task(hold(chance.choice("abc"))) for _ in range(30)]
        for _ in range(10):
            await asyncio.sleep(0)
            chance.choice(tasks).cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(o is None or isinstance(o, asyncio.CancelledError) for o in outcomes), outcomes
        assert ended == sum(o is None for o in outcomes)

    async def in_time() -> None:
        async with asyncio.timeout(30):
            await run()

    asyncio.run(in_time())
    assert slots.unused
