"""The analyst: gathers the data, then lets a model analyse it, one code block after another.

`Analyst.run` is the one way in which anything is analysed; streaming and not, chat, command line and console render
its events.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Literal

from deepanalyze.access import SourceAccess
from deepanalyze.analysis.conversation import Conversation, Turn
from deepanalyze.analysis.events import Code, Event, Finished, Status, Text
from deepanalyze.analysis.execution import CodeRunner, Executed
from deepanalyze.analysis.files import Files
from deepanalyze.analysis.gathering import Gathering
from deepanalyze.analysis.limits import LoopLimits
from deepanalyze.analysis.models.base import ModelCatalog, ModelClient, TokenUsage
from deepanalyze.analysis.records import ThreadRecord
from deepanalyze.analysis.request import AnalysisRequest
from deepanalyze.analysis.round import Round
from deepanalyze.analysis.transcript import truncation_notice
from deepanalyze.errors import ModelUnavailable
from deepanalyze.sandbox.pool import KernelPool
from deepanalyze.telemetry import Telemetry
from deepanalyze.workspace import Workspace

_GO_ON = (
    "[No code was run: your reply has neither a <Code> block nor an <Answer>. "
    "Go on with a <Code> block, or give the <Answer>.]"
)
_EMPTY = "[Your reply was empty. Go on with a <Code> block, or give the <Answer>.]"
_REPEATED = (
    "[You have run exactly this code before, with exactly this output. Running it again changes nothing: "
    "try something else, or give the <Answer> with what you know.]"
)
_LAST_ROUND = "[This was the last code block that could be run. Give the <Answer> now, with what you know.]"
_MAX_SAME = 3


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
    """One run of the loop, from the request to `Finished`."""

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
        self._usage = TokenUsage()
        self._rounds = 0
        self._nudges = 0
        self._over_quota = False
        self._seen: Counter[tuple[str, str]] = Counter()
        self._ending: Literal["stop", "length"] | None = None
        self._deadline = 0.0

    async def events(self) -> AsyncGenerator[Event, None]:
        self._deadline = asyncio.get_running_loop().time() + self._limits.max_analysis_s
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
        yield Finished(self._ending, self._usage, made, fetched=self._gathering.fetched)

    async def _round(self) -> AsyncGenerator[Event, None]:
        self._rounds += 1
        yield Status("asking the model", {"model": self._model.id, "round": self._rounds})
        call = Round(
            self._model,
            deadline=self._deadline,
            drain_s=self._limits.drain_s,
            on_code=self._runner.warm,
            telemetry=self._telemetry,
        )
        conversation = Conversation(tuple(self._turns), self._gathering.files)
        async with aclosing(call.events(conversation, self._request.options)) as texts:
            async for text in texts:
                yield text
        self._usage += call.usage
        if not call.reply.empty:
            self._turns.append(Turn("assistant", call.reply.text))
        if call.wants_code:
            yield Code(self._runner.blocks + 1, call.reply.code or "")
        for event in await self._follow(call):
            yield event

    async def _follow(self, call: Round) -> Sequence[Event]:
        """Does what the reply asks for, and decides whether the analysis goes on."""
        if call.out_of_time:
            return self._stopped(f"after {self._limits.max_analysis_s:g} s (max_analysis_s)")
        if call.reply.code is not None:
            return await self._run(call.reply.code)
        if call.finish_reason == "length":
            self._ending = "length"
            return [Status("the reply was cut off at the model's token limit", {"round": self._rounds})]
        if call.reply.answer is not None:
            self._ending = "stop"
            return []
        return self._nudge(_EMPTY if call.reply.empty else _GO_ON)

    async def _run(self, code: str) -> Sequence[Event]:
        left_s = self._deadline - asyncio.get_running_loop().time()
        executed = await self._runner.run(code, timeout_s=max(0.1, min(self._limits.code_timeout_s, left_s)))
        self._nudges = 0
        self._turns.append(Turn("execute", "\n".join([executed.output, *self._notes(code, executed)])))
        events = list(executed.events())
        if self._seen[code, executed.output] >= _MAX_SAME:
            events += self._stopped(f"after the same code had given the same output {_MAX_SAME} times")
        elif executed.over_quota and self._over_quota:
            events += self._stopped(
                "because your files take more than you may keep (max_workspace_bytes_per_user)"
            )
        elif self._rounds >= self._limits.max_rounds:
            events += self._stopped(f"after {self._rounds} rounds (max_rounds)")
        self._over_quota = executed.over_quota
        return events

    def _notes(self, code: str, executed: Executed) -> Iterator[str]:
        """What the model is told below a block's output."""
        if executed.files:
            yield f"[Saved for the user: {', '.join(file.name for file in executed.files)}]"
        self._seen[code, executed.output] += 1
        if self._seen[code, executed.output] > 1:
            yield _REPEATED
        if self._rounds == self._limits.max_rounds - 1:
            yield _LAST_ROUND

    def _nudge(self, note: str) -> Sequence[Event]:
        self._nudges += 1
        if self._nudges > self._limits.max_nudges or self._rounds >= self._limits.max_rounds:
            raise ModelUnavailable(
                f"model '{self._model.id}' stopped {self._nudges} times without code or an answer; "
                "ask again, or use another model"
            )
        self._turns.append(Turn("execute", note))
        return [Status("the reply had neither code nor an answer; asking again", {"round": self._rounds})]

    def _stopped(self, why: str) -> Sequence[Event]:
        self._ending = "length"
        return [
            Status(f"stopped {why}", {"round": self._rounds}),
            Text(f"\n\n*The analysis was stopped {why}; it has no final answer.*\n"),
        ]
