"""A tiny stand-in for the analysis loop: one Python process runs the profiler's blocks in one namespace."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deepanalyze.analysis.conversation import Conversation, DataFile, SamplingOptions, Turn
from deepanalyze.analysis.fences import code_of
from deepanalyze.analysis.limits import LoopLimits, head_and_tail
from deepanalyze.analysis.profiler import Profiler

RUNNER = """
import contextlib, io, json, os, resource, sys, traceback, warnings
out, ns = sys.stdout, {}
for line in sys.stdin:
    order = json.loads(line)
    if "folder" in order:
        os.chdir(order["folder"])
        ns = {"__name__": "__main__"}
        continue
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            exec(compile(order["code"], "<block>", "exec"), ns)
        except BaseException:
            traceback.print_exc()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out.write(json.dumps([printed.getvalue(), peak]) + chr(10))
    out.flush()
"""
CODE = re.compile(r"<Code>\n```python\n(.*)\n```\n</Code>$", re.S)
MAX_ROUNDS = 12


@dataclass
class Analysed:
    answer: str
    turns: list[Turn]
    blocks: list[str]
    outputs: list[str]
    folder: Path
    peak_mb: float = 0.0

    @property
    def failed(self) -> list[str]:
        return [out for out in self.outputs if "Traceback" in out or "no chart" in out]

    def result(self, step: str) -> dict[str, object]:
        for output in self.outputs:
            for line in output.splitlines():
                if line.startswith("#result ") and json.loads(line[8:])["step"] == step:
                    return dict(json.loads(line[8:]))
        raise AssertionError(f"no result of {step}")

    @property
    def report(self) -> str:
        return max(self.folder.glob("report*.md"), key=lambda p: p.stat().st_mtime_ns).read_text(
            encoding="utf-8"
        )


@dataclass
class Bench:
    """Runs analyses one after the other in one process; each folder starts with a fresh namespace."""

    process: subprocess.Popen[str]
    folder: Path | None = field(default=None)

    @classmethod
    def start(cls) -> Bench:
        pipe = subprocess.PIPE
        return cls(subprocess.Popen([sys.executable, "-c", RUNNER], stdin=pipe, stdout=pipe, text=True))

    def stop(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def send(self, order: dict[str, str]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def run(self, code: str) -> tuple[str, float]:
        assert self.process.stdout
        self.send({"code": code})
        printed, peak_kb = json.loads(self.process.stdout.readline())
        return printed, peak_kb / 1024

    async def ask(
        self,
        folder: Path,
        question: str,
        files: Sequence[DataFile | str] | None = None,
        earlier: Sequence[Turn] = (),
        mishaps: Mapping[int, str] | None = None,
    ) -> Analysed:
        """`mishaps`: by number of the block, what its turn says instead of its output; a text that tells of a lost
        session comes above the output of the block, run without the variables of the earlier ones."""
        if folder != self.folder:
            self.send({"folder": str(folder)})
            self.folder = folder
        found = files if files is not None else sorted(p.name for p in folder.iterdir() if p.is_file())
        given = [f if isinstance(f, DataFile) else DataFile(f, 1) for f in found]
        turns, blocks, outputs, peak = [*earlier, Turn("user", question)], [], [], 0.0
        for _ in range(MAX_ROUNDS):
            text = await say(Conversation(turns, given))
            turns.append(Turn("assistant", text))
            match = CODE.search(text)
            if match is None:
                return Analysed(text, turns, blocks, outputs, folder, peak)
            mishap = (mishaps or {}).get(len(blocks) + 1, "")
            if mishap.startswith("[A new Python session"):
                self.send({"folder": str(folder)})
            printed, peak = self.run(match.group(1))
            if mishap:
                printed = f"{mishap}\n{printed}" if mishap.startswith("[A new") else mishap
            assert code_of(match.group(1).join(("```python\n", "\n```"))) == match.group(1).rstrip()
            printed = head_and_tail(printed, LoopLimits().max_output_chars)
            blocks.append(match.group(1))
            outputs.append(printed)
            turns.append(Turn("execute", printed))
        raise AssertionError("the profiler did not come to an end")


async def say(conversation: Conversation) -> str:
    pieces = [chunk async for chunk in Profiler().stream(conversation, SamplingOptions())]
    return "".join(piece.text for piece in pieces)
