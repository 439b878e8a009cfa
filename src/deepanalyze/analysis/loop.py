"""The analyst: gathers the data, then lets a model analyse it, one code block after another.

`Analyst.run` is the one way in which anything is analysed; streaming and not, chat, command line and console render
its events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from deepanalyze.access import SourceAccess
from deepanalyze.analysis.budget import Budget
from deepanalyze.analysis.conversation import Conversation, Turn
from deepanalyze.analysis.events import Code, Event, Finished, Status, Text
from deepanalyze.analysis.execution import CodeRunner, Executed
from deepanalyze.analysis.files import Files
from deepanalyze.analysis.gathering import Gathering
from deepanalyze.analysis.images import refuse_images
from deepanalyze.analysis.limits import LoopLimits
from deepanalyze.analysis.models.base import ModelCatalog, ModelClient
from deepanalyze.analysis.records import ThreadRecord
from deepanalyze.analysis.repetition import Repeated, Repetition
from deepanalyze.analysis.request import AnalysisRequest
from deepanalyze.analysis.round import Round
from deepanalyze.analysis.transcript import best_answer, stopped_notice, truncation_notice
from deepanalyze.errors import ModelUnavailable
from deepanalyze.sandbox.pool import KernelPool
from deepanalyze.telemetry import Telemetry
from deepanalyze.workspace import Workspace

_GO_ON = (
    "[No code was run: your reply has neither a <Code> block nor an <Answer>. "
    "Go on with a <Code> block, or give the <Answer>.]"
)
_EMPTY = "[Your reply was empty. Go on with a <Code> block, or give the <Answer>.]"
_ANSWER_NOW = (
    "[The analysis ends here, {why}. No more code will be run. Give the <Answer> now, with what you know.]"
)


class Analyst:
    def __init__(
        self,
        models: ModelCatalog,
        sources: SourceAccess,
        files: Files,
        kernels: KernelPool,
        limits: LoopLimits,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._models = models
        self._sources = sources
        self._files = files
        self._kernels = kernels
        self._limits = limits
        self._telemetry = telemetry or Telemetry()

    async def run(
        self, request: AnalysisRequest, thread: ThreadRecord, workspace: Workspace
    ) -> AsyncGenerator[Event, None]:
        """Ends with `Finished`, or raises; closing it ends the model's request, queries and code.

        `request.turns` is the whole conversation. Raises ModelNotFound and FetchFailed before any model call,
        ModelUnavailable, and, where code is to be run, SandboxUnavailable and Busy.
        """
        model = await self._models.get(request.model)
        refuse_images(model, request.turns)
        gathering = Gathering(request, workspace, self._sources, self._files)
        runner = CodeRunner(
            self._kernels,
            thread,
            workspace,
            max_output_chars=self._limits.max_output_chars,
            ran_before=any(turn.role == "execute" for turn in request.turns),
            telemetry=self._telemetry,
        )
        analysis = Analysis(model, request, gathering, runner, self._limits, self._telemetry)
        try:
            async with aclosing(analysis.events()) as events:
                async for event in events:
                    yield event
        finally:
            if request.thread_id is None:
                await self._kernels.close_thread(thread.id)
            await asyncio.to_thread(workspace.measure)


class Analysis:
    """One run of the loop, from the request to `Finished`.

    Where a limit is reached, the model is asked once more for an answer with what it knows; when that fails, too, the
    answer is made of what was found last.
    """

    def __init__(
        self,
        model: ModelClient,
        request: AnalysisRequest,
        gathering: Gathering,
        runner: CodeRunner,
        limits: LoopLimits,
        telemetry: Telemetry,
    ) -> None:
        self._model = model
        self._request = request
        self._gathering = gathering
        self._runner = runner
        self._limits = limits
        self._telemetry = telemetry
        self._turns = list(request.turns)
        self._budget = Budget(limits, request.options.max_tokens, now=_now())
        self._repetition = Repetition()
        self._nudges = 0
        self._over_quota = False
        self._last_output = ""
        self._last_call_because: str | None = None
        self._ending: Literal["stop", "length"] | None = None

    async def events(self) -> AsyncGenerator[Event, None]:
        if self._request.references or self._request.files:
            self._runner.warm()
        async with aclosing(self._gathering.events()) as fetches:
            async for fetch in fetches:
                yield fetch
        if notice := truncation_notice(self._gathering.truncated):
            yield Text(notice)
        while self._ending is None:
            async with aclosing(self._round()) as events:
                async for event in events:
                    yield event
        made = tuple(self._runner.files.values())
        yield Finished(self._ending, self._budget.usage, made, fetched=self._gathering.fetched)

    async def _round(self) -> AsyncGenerator[Event, None]:
        self._budget.rounds += 1
        yield Status("asking the model", {"model": self._model.id, "round": self._budget.rounds})
        is_last = self._last_call_because is not None
        call = Round(
            self._model,
            deadline=self._budget.deadline(last=is_last),
            drain_s=self._limits.drain_s,
            max_chars=self._budget.max_reply_chars,
            on_code=_nothing if is_last else self._runner.warm,
            telemetry=self._telemetry,
        )
        conversation = Conversation(tuple(self._turns), self._gathering.files)
        options = replace(self._request.options, max_tokens=self._budget.output_tokens_left)
        try:
            async with aclosing(call.events(conversation, options)) as texts:
                async for text in texts:
                    yield text
        except ModelUnavailable as error:
            if not is_last:
                raise
            yield Status(f"no last answer: {error.message}", {"round": self._budget.rounds})
        self._budget.spend(
            call.usage,
            read_chars=sum(len(turn.text) for turn in self._turns),
            written_chars=len(call.reply.text),
            prices=self._model.prices,
        )
        if not call.reply.empty:
            self._turns.append(Turn("assistant", call.reply.text))
        if call.wants_code and not is_last:
            yield Code(self._runner.blocks + 1, call.reply.code or "")
        for event in await self._follow(call):
            yield event

    async def _follow(self, call: Round) -> Sequence[Event]:
        """Does what the reply asks for, and decides whether the analysis goes on."""
        if self._last_call_because is not None:
            cut_off = call.out_of_time and "<Answer>" not in call.reply.text
            return self._ended(None if cut_off else call.reply.answer, self._last_call_because)
        if call.out_of_time:
            return self._close(self._budget.time_is_up())
        if call.reply.code is not None:
            return await self._run(call.reply.code)
        if call.finish_reason == "length":
            self._ending = "length"
            return [Status("the reply was cut off at the model's token limit", self._in_round())]
        if call.reply.answer is not None:
            self._ending = "stop"
            return []
        return self._nudge(_EMPTY if call.reply.empty else _GO_ON)

    async def _run(self, code: str) -> Sequence[Event]:
        left_s = self._budget.deadline(last=False) - _now()
        executed = await self._runner.run(code, timeout_s=max(0.1, min(self._limits.code_timeout_s, left_s)))
        self._nudges = 0
        self._last_output = executed.output
        repeated = self._repetition.look(code, executed.result.output)
        notes = [repeated.note] if repeated.note else []
        if executed.files:
            notes.insert(0, f"[Saved for the user: {', '.join(file.name for file in executed.files)}]")
        self._turns.append(Turn("execute", "\n".join([executed.output, *notes])))
        return [*executed.events(), *self._go_on_or_close(repeated, executed)]

    def _go_on_or_close(self, repeated: Repeated, executed: Executed) -> Sequence[Event]:
        was_over_quota, self._over_quota = self._over_quota, executed.over_quota
        if repeated.why:
            return self._close(repeated.why)
        if was_over_quota and executed.over_quota:
            return self._close(
                "because your files take more than you may keep (max_workspace_bytes_per_user)"
            )
        if why := self._budget.used_up(_now()):
            return self._ended(None, why)
        if why := self._budget.nearly_used_up(_now()):
            return self._close(why)
        return []

    def _nudge(self, note: str) -> Sequence[Event]:
        self._nudges += 1
        if self._nudges > self._limits.max_nudges:
            why = f"after the model had stopped {self._nudges} times without code or an answer"
            if self._runner.blocks:
                return self._ended(None, why)
            raise ModelUnavailable(
                f"model '{self._model.id}' stopped {self._nudges} times without code or an answer; "
                "ask again, or use another model"
            )
        if used_up := self._budget.used_up(_now()):
            return self._ended(None, used_up)
        self._turns.append(Turn("execute", note))
        return [Status("the reply had neither code nor an answer; asking again", self._in_round())]

    def _close(self, why: str) -> Sequence[Event]:
        """The next model call is the last one, where there can be one."""
        if self._budget.used_up(_now()):
            return self._ended(None, why)
        self._last_call_because = why
        note = _ANSWER_NOW.format(why=why)
        if self._turns[-1].role == "execute":
            note = f"{self._turns.pop().text}\n{note}"
        self._turns.append(Turn("execute", note))
        return [
            Status(f"stopped {why}; asking for an answer with what is known", self._in_round()),
            Text(stopped_notice(why)),
        ]

    def _ended(self, answer: str | None, why: str) -> Sequence[Event]:
        self._ending = "length"
        if answer is not None:
            return []
        status = Status(f"stopped {why}; the model gave no answer", self._in_round())
        return [status, Text(best_answer(why, self._turns, self._last_output))]

    def _in_round(self) -> dict[str, int]:
        return {"round": self._budget.rounds}


def _now() -> float:
    return asyncio.get_running_loop().time()


def _nothing() -> None:
    """No code will be run, so no kernel needs to be there."""
