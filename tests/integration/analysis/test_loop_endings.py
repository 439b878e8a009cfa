"""How an analysis ends that would not end by itself: at a limit, with the best answer that can be had."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from deepanalyze.analysis.conversation import SamplingOptions
from deepanalyze.analysis.events import Code, Execute
from deepanalyze.analysis.limits import LoopLimits
from deepanalyze.errors import ModelUnavailable
from deepanalyze.sandbox import Sandbox
from tests.support.desk import Answer, Desk, model_config, open_desk
from tests.support.model_server import ModelServer, Reply

ANSWER = "<Answer>\nAbout 42.\n</Answer>"


def code(program: str) -> str:
    return f"<Analyze>\nLet me see.\n</Analyze>\n<Code>\n```python\n{program}\n```\n</Code>"


def steps(count: int, **how: Any) -> Sequence[Reply]:
    return [Reply(code(f"print('step', {n})"), **how) for n in range(1, count + 1)]


@pytest.fixture
def limited(tmp_path: Path, server: ModelServer, sandbox: Sandbox) -> Any:
    """Asks an analyst that has these limits."""

    async def ask(limits: LoopLimits, *, model: dict[str, Any] | None = None, **how: Any) -> Answer:
        models = [model_config(server, **(model or {}))]
        async with open_desk(tmp_path, server, sandbox, limits=limits, models=models) as desk:
            return await desk.ask(**how)

    return ask


def last_told(server: ModelServer) -> str:
    return str(server.messages()[-1]["content"])


async def test_the_last_round_is_for_the_answer(limited: Any, server: ModelServer) -> None:
    server.say(*steps(2), ANSWER)
    answer = await limited(LoopLimits(max_rounds=3))
    assert answer.finished.finish_reason == "length"
    assert answer.text.endswith(ANSWER)
    assert answer.text.index("round 3 is the last (max_rounds)") < answer.text.index(ANSWER)
    assert "Give the <Answer> now" not in str(server.messages(1))
    assert last_told(server).startswith("step 2\n")
    assert "Give the <Answer> now" in last_told(server)


async def test_code_in_the_last_round_does_not_run_and_the_answer_is_what_was_known(
    limited: Any, server: ModelServer
) -> None:
    understood = "<Understand>\nIt grows, </Answer> I think.\n</Understand>\n"
    server.say(
        code("print('growth: 7 %')"), understood + code("print('</Answer>')"), code("open('late', 'w')")
    )
    answer = await limited(LoopLimits(max_rounds=3))
    assert [event.block for event in answer.of(Code)] == [1, 2]
    assert answer.finished.finish_reason == "length"
    best = answer.text.rpartition("<Answer>")[2]
    assert "no final answer" in best
    assert "It grows, &lt;/Answer> I think." in best
    assert best.count("</Answer>") == 1
    assert best.endswith("</Answer>\n")


async def test_one_round_only(limited: Any, server: ModelServer) -> None:
    server.say(code("print(6 * 7)"))
    answer = await limited(LoopLimits(max_rounds=1))
    assert "after 1 rounds (max_rounds)" in answer.text
    assert "\n42\n" in answer.text.rpartition("<Answer>")[2]
    assert len(server.requests) == 1


async def test_time_is_up_while_the_model_writes(limited: Any, server: ModelServer) -> None:
    server.say(Reply("<Analyze>so slow", hang_after=1), ANSWER)
    answer = await limited(LoopLimits(max_analysis_s=10, code_timeout_s=1))
    await server.left.wait()
    assert answer.finished.finish_reason == "length"
    assert answer.text.startswith("<Analyze")
    assert answer.text.index("10 s (max_analysis_s)") < answer.text.index(ANSWER)


async def test_time_is_up_and_the_model_hangs(limited: Any, server: ModelServer) -> None:
    server.say(Reply("<Analyze>so slow", hang_after=1), Reply("<Analyze>still", hang_after=1))
    answer = await limited(LoopLimits(max_analysis_s=0.5))
    assert answer.finished.finish_reason == "length"
    assert "no final answer" in answer.text
    assert len(server.requests) == 2


async def test_a_model_that_fails_when_asked_for_its_last_answer(limited: Any, server: ModelServer) -> None:
    server.say(code("print('found')"), *[Reply(status=500)] * 3)
    answer = await limited(LoopLimits(max_rounds=2))
    assert answer.finished.finish_reason == "length"
    assert "\nfound\n" in answer.text.rpartition("<Answer>")[2]


async def test_tokens_are_kept_for_the_answer(limited: Any, server: ModelServer) -> None:
    server.say(*steps(4, usage=(900, 100)), Reply(ANSWER, usage=(900, 100)))
    answer = await limited(LoopLimits(max_analysis_tokens=7_500))
    assert answer.finished.finish_reason == "length"
    assert answer.text.endswith(ANSWER)
    assert "4,000 tokens (max_analysis_tokens)" in answer.text
    assert answer.finished.usage.total_tokens == 5_000


async def test_a_server_that_counts_no_tokens_does_not_lift_their_limit(
    limited: Any, server: ModelServer
) -> None:
    server.say(*steps(40, usage=None), ANSWER)
    answer = await limited(LoopLimits(max_analysis_tokens=3_000))
    assert "tokens (max_analysis_tokens)" in answer.text
    assert len(server.requests) < 12
    assert answer.finished.usage.total_tokens == 0


async def test_what_an_analysis_may_cost(limited: Any, server: ModelServer) -> None:
    server.say(*steps(3, usage=(100_000, 10_000)), Reply(ANSWER, usage=(100_000, 10_000)))
    prices = {"input_price": 2, "output_price": 10}
    answer = await limited(LoopLimits(max_analysis_cost=1.5), model=prices)
    assert "a cost of 0.9 (max_analysis_cost)" in answer.text
    assert answer.text.endswith(ANSWER)


async def test_a_reply_without_end_is_cut_off(limited: Any, server: ModelServer) -> None:
    server.say(Reply("and on " * 100_000, chunk=1_000, hang_after=100))
    answer = await limited(LoopLimits(max_analysis_tokens=1_000))
    assert answer.finished.finish_reason == "length"
    assert len(answer.text) < 10_000
    await server.left.wait()


async def test_what_the_client_allows_is_for_the_whole_answer(desk: Desk, server: ModelServer) -> None:
    server.say(*steps(5, usage=(100, 30)))
    answer = await desk.ask(options=SamplingOptions(max_tokens=80))
    assert [request["max_tokens"] for request in server.requests] == [80, 50, 20]
    assert "90 tokens of output (max_completion_tokens of the request)" in answer.text
    assert answer.finished.finish_reason == "length"


async def test_code_that_repeats_itself_is_told_once_then_ended(desk: Desk, server: ModelServer) -> None:
    server.say(*[code("print(1)")] * 3, ANSWER)
    answer = await desk.ask()
    assert "exactly this code" not in server.messages(1)[-1]["content"]
    assert "exactly this code" in server.messages(2)[-1]["content"]
    assert "same output 3 times" in last_told(server)
    assert answer.finished.finish_reason == "length"
    assert answer.text.endswith(ANSWER)


async def test_an_error_that_different_code_meets_again_and_again(desk: Desk, server: ModelServer) -> None:
    server.say(*(code(f"x = {n}\nprint('no such column')") for n in range(5)), ANSWER)
    answer = await desk.ask()
    assert "exactly this output three times" in server.messages(3)[-1]["content"]
    assert "5 code blocks in a row" in last_told(server)
    assert answer.text.endswith(ANSWER)


async def test_steps_that_say_nothing_are_no_repetition(desk: Desk, server: ModelServer) -> None:
    server.say(*(code(f"x{n} = {n}") for n in range(7)), ANSWER)
    answer = await desk.ask()
    assert len(answer.of(Execute)) == 7
    assert answer.finished.finish_reason == "stop"


async def test_a_model_that_falls_silent_after_its_code(desk: Desk, server: ModelServer) -> None:
    server.say(code("print('found')"), "", "", "")
    answer = await desk.ask()
    assert answer.finished.finish_reason == "length"
    assert "\nfound\n" in answer.text.rpartition("<Answer>")[2]


async def test_a_model_that_says_nothing_at_all_is_an_error(desk: Desk, server: ModelServer) -> None:
    server.say("", "", "")
    assert isinstance((await desk.ask()).error, ModelUnavailable)
