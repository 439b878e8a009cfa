"""The loop between model and code, with a scripted model server and the real sandbox."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from deepanalyze.analysis.conversation import SamplingOptions
from deepanalyze.analysis.events import Code, Execute, File, Status, Text
from deepanalyze.analysis.limits import LoopLimits
from deepanalyze.analysis.models.base import TokenUsage
from deepanalyze.errors import ModelNotFound, ModelUnavailable, SandboxUnavailable
from deepanalyze.sandbox import Sandbox
from deepanalyze.sandbox.opening import UnavailableSandbox
from tests.support.desk import CHAT_MODEL, Desk, open_desk
from tests.support.model_server import ModelServer, Reply

ANSWER = "<Answer>\n42\n</Answer>"


def code(*lines: str) -> str:
    program = "\n".join(lines)
    return f"<Analyze>\nLet me see.\n</Analyze>\n<Code>\n```python\n{program}\n```\n</Code>"


async def test_code_runs_and_its_output_comes_back(desk: Desk, server: ModelServer) -> None:
    server.say(Reply(code("x = 6 * 7", "print(x)"), usage=(10, 5)), Reply(ANSWER, usage=(30, 7)))
    options = SamplingOptions(top_p=0.5, seed=7, max_tokens=100)
    answer = await desk.ask("What is six times seven?", options=options)
    assert answer.finished.finish_reason == "stop"
    assert answer.finished.usage == TokenUsage(40, 12)
    assert answer.text == code("x = 6 * 7", "print(x)") + "\n<Execute>\n```\n42\n```\n</Execute>\n" + ANSWER
    [ran], [executed] = answer.of(Code), answer.of(Execute)
    assert ran == Code(1, "x = 6 * 7\nprint(x)")
    assert (executed.block, executed.status, executed.output.strip()) == (1, "ok", "42")
    kinds = [type(e) for e in answer.events if not isinstance(e, Status)]
    assert kinds.index(Code) < kinds.index(Execute) < len(kinds) - 2
    assert kinds[kinds.index(Execute) + 1] is Text
    _was_asked_as_deepanalyze_is_served(server)


def _was_asked_as_deepanalyze_is_served(server: ModelServer) -> None:
    first, second = server.requests
    assert first["messages"] == [{"role": "user", "content": "# Instruction\nWhat is six times seven?"}]
    assert first["stop"] == ["</Code>"]
    assert first["stop_token_ids"] == [151676, 151645]
    assert first["add_generation_prompt"] is False
    assert (first["temperature"], first["top_p"], first["seed"], first["max_tokens"]) == (0.4, 0.5, 7, 100)
    assert second["messages"][1:] == [
        {"role": "assistant", "content": code("x = 6 * 7", "print(x)")},  # the stop string is put back
        {"role": "execute", "content": "42"},
    ]


async def test_any_other_model_is_taught_the_tags(desk: Desk, server: ModelServer) -> None:
    server.say(code("print(1)"), ANSWER)
    await desk.ask("Why?", model=CHAT_MODEL)
    first, second = server.requests
    assert [m["role"] for m in first["messages"]] == ["system", "user"]
    assert "stop_token_ids" not in first
    assert "temperature" not in first
    assert [m["role"] for m in second["messages"]] == ["system", "user", "assistant", "user"]
    assert second["messages"][3]["content"] == "Output of the code:\n```\n1\n```"


async def test_text_is_shown_in_the_pieces_that_the_model_sends(desk: Desk, server: ModelServer) -> None:
    server.say(Reply("<Answer>one two three</Answer>", chunk=10))
    answer = await desk.ask()
    assert [e.text for e in answer.of(Text)] == ["<Answer>on", "e two thre", "e</Answer>"]


async def test_errors_in_code_are_told_to_the_model(desk: Desk, server: ModelServer) -> None:
    server.say(code("1 / 0"), code("print(undefined_name)"), ANSWER)
    answer = await desk.ask()
    assert [e.status for e in answer.of(Execute)] == ["error", "error"]
    assert "ZeroDivisionError" in server.messages(1)[-1]["content"]
    assert "undefined_name" in server.messages(2)[-1]["content"]
    assert answer.finished.finish_reason == "stop"


async def test_variables_live_on_and_files_are_shown(desk: Desk, server: ModelServer) -> None:
    server.say(
        code("total = 41"),
        code("open('report.md', 'w').write(f'# {total + 1}')"),
        code("import matplotlib.pyplot as plt", "plt.plot([1, 2])", "plt.show()"),
        ANSWER,
    )
    answer = await desk.ask(thread=await desk.new_thread())
    made = [e.file.name for e in answer.of(File)]
    assert made[0] == "report.md"
    assert made[1].endswith(".png")
    assert [f.name for f in answer.finished.files] == made
    assert "<File>\n- [report.md](report.md)\n</File>" in answer.text
    assert f"![{made[1]}]({made[1]})" in answer.text
    assert f"[Saved for the user: {made[1]}]" in server.messages(3)[-1]["content"]
    root = desk.threads.workspace(answer.thread_id).root
    assert (root / "report.md").read_text() == "# 42"


async def test_what_a_model_makes_up_after_its_code_is_not_shown(desk: Desk, server: ModelServer) -> None:
    invented = code("print(1)") + "\n<Execute>\n7\n</Execute>\n<Answer>It is 7.</Answer>"
    server.say(Reply(invented, honours_stop=False, chunk=200), Reply(invented, honours_stop=False), ANSWER)
    answer = await desk.ask()
    assert "7" not in answer.text
    assert answer.text.endswith(ANSWER)
    assert "7" not in str(server.messages(2))


async def test_code_that_takes_too_long_is_stopped_and_told(
    tmp_path: Path, server: ModelServer, sandbox: Sandbox
) -> None:
    server.say(code("while True: pass"), ANSWER)
    async with open_desk(tmp_path, server, sandbox, limits=LoopLimits(code_timeout_s=1)) as desk:
        answer = await desk.ask()
    assert [e.status for e in answer.of(Execute)] == ["timeout"]
    assert "stopped after 1 s" in server.messages(1)[-1]["content"]
    assert answer.text.endswith(ANSWER)


async def test_a_model_gets_the_head_and_the_tail_of_long_output(
    tmp_path: Path, server: ModelServer, sandbox: Sandbox
) -> None:
    server.say(code("print('A' * 5000 + 'Z' * 5000)"), ANSWER)
    async with open_desk(tmp_path, server, sandbox, limits=LoopLimits(max_output_chars=300)) as desk:
        answer = await desk.ask()
    told = server.messages(1)[-1]["content"]
    assert told.startswith("A" * 200 + "\n")
    assert told.endswith("Z" * 100)
    assert len(answer.of(Execute)[0].output) > 10_000


async def test_a_reply_without_code_or_answer_is_asked_to_go_on(desk: Desk, server: ModelServer) -> None:
    server.say("<Analyze>I should look.</Analyze>", "", ANSWER)
    answer = await desk.ask()
    assert answer.text.endswith(ANSWER)
    assert [m["role"] for m in server.messages(2)] == ["user", "assistant", "execute", "execute"]


async def test_a_model_that_says_nothing_is_given_up(desk: Desk, server: ModelServer) -> None:
    server.say("", "", "")
    error = (await desk.ask()).error
    assert isinstance(error, ModelUnavailable)
    assert "DeepAnalyze-8B" in error.message


async def test_an_answer_cut_off_at_the_token_limit(desk: Desk, server: ModelServer) -> None:
    server.say(Reply("<Answer>half an ans", finish_reason="length"))
    answer = await desk.ask()
    assert answer.finished.finish_reason == "length"
    assert answer.text == "<Answer>half an ans</Answer>"


async def test_half_a_program_does_not_run(desk: Desk, server: ModelServer) -> None:
    server.say(Reply("<Code>\nopen('half', 'w')\nprint(", finish_reason="length"))
    answer = await desk.ask()
    assert answer.finished.finish_reason == "length"
    assert answer.of(Code) == []


async def test_servers_that_drop_finish_reason_and_usage(desk: Desk, server: ModelServer) -> None:
    server.say(*(Reply(text, finish_reason=None, usage=None) for text in (code("print(5)"), ANSWER)))
    answer = await desk.ask()
    assert answer.of(Execute)[0].output.strip() == "5"
    assert answer.finished.finish_reason == "stop"
    assert answer.finished.usage == TokenUsage()


async def test_variables_lost_with_their_kernel_are_told(desk: Desk, server: ModelServer) -> None:
    lost = asyncio.Event()
    server.say(code("x = 1", "print(x)"), Reply(code("print('again')"), hold=lost), ANSWER)
    thread = await desk.new_thread()
    job = await desk.analyses.start(desk.request(thread=thread))
    async with aclosing(job.events()) as events:
        async for numbered in events:
            if isinstance(numbered.event, Execute) and not lost.is_set():
                await desk.kernels.close_thread(thread)
                lost.set()
    assert "variables of earlier blocks are gone" in server.messages(2)[-1]["content"]
    assert "variables" not in server.messages(1)[-1]["content"]


async def test_a_kernel_that_dies_is_told(desk: Desk, server: ModelServer) -> None:
    server.say(code("import os", "os._exit(1)"), code("print('alive')"), ANSWER)
    answer = await desk.ask()
    assert [e.status for e in answer.of(Execute)] == ["died", "ok"]
    assert "session ended" in server.messages(1)[-1]["content"]
    assert server.messages(2)[-1]["content"] == "alive"


async def test_without_a_sandbox_only_code_is_refused(tmp_path: Path, server: ModelServer) -> None:
    server.say(ANSWER, code("print(1)"))
    nothing = UnavailableSandbox(["bubblewrap: no"], "Install it.")
    async with open_desk(tmp_path, server, nothing) as desk:
        assert (await desk.ask()).text == ANSWER
        error = (await desk.ask()).error
    assert isinstance(error, SandboxUnavailable)
    assert "Install it." in error.message


async def test_an_unknown_model_is_told_with_those_there_are(desk: Desk, server: ModelServer) -> None:
    error = (await desk.ask(model="gpt-0")).error
    assert isinstance(error, ModelNotFound)
    assert error.param == "model"
    assert "DeepAnalyze-8B" in error.message
    assert server.requests == []
