"""What is known at one point of an analysis, worked out anew from the conversation in each round."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepanalyze.analysis.conversation import Conversation, DataFile
from deepanalyze.analysis.profiler.facts import Data
from deepanalyze.analysis.profiler.plan import Plan

MARKER = "#result "
ERROR = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)\b.*$", re.M)
CUT = re.compile(r"^\[(The code was stopped after [\d.e+]+ s)\b", re.M)
DIED = re.compile(r"^\[(The Python session ended here: [^.]+)\.", re.M)
REPORT = re.compile(r"report(?:-(\d{1,6}))?\.md")


@dataclass(frozen=True, slots=True)
class State:
    """`results` holds what each finished step printed, `failures` the last line of those that went wrong."""

    question: str
    files: Sequence[DataFile]
    number: int  # of this analysis within the thread, from 1
    results: Mapping[str, Any] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    data: Data = field(default_factory=Data)
    plan: Plan | None = None

    @property
    def prefix(self) -> str:
        return "" if self.number == 1 else f"{self.number}-"

    @property
    def report_name(self) -> str:
        return "report.md" if self.number == 1 else f"report-{self.number}.md"


def outputs_of(conversation: Conversation) -> list[str]:
    """What the code blocks of the current analysis printed, in order."""
    turns = list(conversation.turns)
    last = max((i for i, t in enumerate(turns) if t.role == "user"), default=-1)
    return [t.text for t in turns[last + 1 :] if t.role == "execute"]


def analyses_before(conversation: Conversation) -> int:
    """Earlier questions that were answered with code: their reports lie in the workspace already."""
    count, ran = 0, False
    for turn in conversation.turns:
        if turn.role == "user":
            count, ran = count + ran, False
        ran = ran or turn.role == "execute" or (turn.role == "assistant" and "<Code>" in turn.text)
    return count


def reports_there(conversation: Conversation) -> int:
    """Reports of earlier analyses, which a client need not tell of in its turns; `files` is as it was at the start."""
    found = [REPORT.fullmatch(file.name) for file in conversation.files]
    return max((int(match.group(1) or 1) for match in found if match), default=0)


def result_in(output: str, step: str) -> dict[str, Any] | None:
    """The last marked line, if it is the step's own; data that looks like one comes earlier or not at all."""
    lines = [line for line in output.split("\n") if line.startswith(MARKER)]
    try:
        value = json.loads(lines[-1].removeprefix(MARKER)) if lines else None
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, dict) and value.get("step") == step else None


def lost_in(output: str) -> str:
    """What went wrong outside of the code, so that the same code may well succeed on a second try; else nothing."""
    if re.search(r"^\[A new Python session was started", output, re.M):
        return "The Python session was replaced, and its variables are gone."
    if re.search(r"^\[The Python session ended here", output, re.M):
        return "The Python session ended."
    if not own_lines(output) or (
        MARKER not in output and not ERROR.search(output) and not CUT.search(output)
    ):
        return "The output did not arrive."
    return ""


def complaint_in(output: str) -> str:
    """Why a step has no result."""
    if (stopped := CUT.search(output)) or (stopped := DIED.search(output)):
        return stopped.group(1).strip()
    errors = ERROR.findall(output)
    lines = own_lines(output)
    return (errors or lines or ["the code ended without a result"])[-1].strip()[:300]


def own_lines(output: str) -> list[str]:
    """Without what the loop adds in brackets."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return [line for line in lines if line != "(no output)" and not re.match(r"\[[A-Z].*\]$", line)]
