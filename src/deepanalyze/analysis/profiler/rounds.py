"""The order of an analysis. Every call starts from the conversation alone and ends with the next thing to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from deepanalyze.analysis.conversation import Conversation
from deepanalyze.analysis.profiler.answering import answer, no_files_answer, nothing_readable_answer
from deepanalyze.analysis.profiler.code import block
from deepanalyze.analysis.profiler.naming import table_files
from deepanalyze.analysis.profiler.planning import plan_for
from deepanalyze.analysis.profiler.state import (
    State,
    analyses_before,
    complaint_in,
    lost_in,
    outputs_of,
    reports_there,
    result_in,
)
from deepanalyze.analysis.profiler.steps import drawing, loading, reporting, studying


@dataclass(frozen=True, slots=True)
class Step:
    """`needed`: without its result the rest cannot go on."""

    name: str
    text: Callable[[State], str]
    code: Callable[[State], str]
    needed: bool = True


STEPS = (
    Step("read", loading.read_text, loading.read_code),
    Step("tidy", loading.tidy_text, loading.tidy_code),
    Step("describe", loading.describe_text, loading.describe_code),
    Step("link", loading.link_text, loading.link_code, needed=False),
    Step("compare", studying.compare_text, studying.compare_code, needed=False),
    Step("study", studying.study_text, studying.study_code, needed=False),
    Step("survey", studying.survey_text, studying.survey_code, needed=False),
    Step("draw", drawing.draw_text, drawing.draw_code, needed=False),
    Step("report", reporting.report_text, reporting.report_code, needed=False),
)


def next_text(conversation: Conversation) -> str:
    """All that the profiler says in this round."""
    if not table_files(conversation.files):
        return in_answer(no_files_answer(conversation.files))
    number = max(analyses_before(conversation), reports_there(conversation)) + 1
    state = State(conversation.question, conversation.files, number)
    outputs = outputs_of(conversation)
    worked: list[str] = []
    for step in STEPS:
        if not worthwhile(step, state):
            continue
        if not outputs:
            return in_code(step.text(state), step.code(state))
        code, output = step.code(state), outputs.pop(0)
        if result_in(output, step.name) is None and (what := lost_in(output)):
            if not outputs:
                return in_code(f"{what} I do the work again up to here.", block(*worked, code))
            output = outputs.pop(0)
        state = after(step, output, state)
        if step.name not in state.failures:
            worked.append(code)
        elif step.needed:
            break
    if not state.data.tables or not any(t.columns for t in state.data.tables.values()):
        return in_answer(nothing_readable_answer(state))
    return in_answer(answer(state))


def in_code(text: str, code: str) -> str:
    return f"<Analyze>\n{text}\n</Analyze>\n<Code>\n```python\n{code}\n```\n</Code>"


def in_answer(text: str) -> str:
    return f"<Answer>\n{text}\n</Answer>"


def worthwhile(step: Step, state: State) -> bool:
    if step.name in ("tidy", "describe"):
        return bool(state.results["read"]["frames"])
    if step.name == "compare" and (state.plan is None or state.plan.kind != "drivers"):
        return False
    if step.name == "study" and "study" in state.failures:
        return False
    if step.name == "survey":  # what can be said when the study of the question failed
        return "study" in state.failures and state.plan is not None
    if step.name in ("link", "compare", "study", "draw", "report"):
        return any(t.rows and t.columns for t in state.data.tables.values())
    return True


def after(step: Step, output: str, state: State) -> State:
    """The state with what a step printed, and what follows from it."""
    result = result_in(output, step.name)
    if result is None:
        state = replace(state, failures={**state.failures, step.name: complaint_in(output)})
        if step.name == "compare":
            state = replace(state, failures={**state.failures, "study": state.failures["compare"]})
    else:
        results: Mapping[str, Any] = {**state.results, step.name: result}
        state = replace(state, results=results)
    if step.name in ("describe", "link") and "describe" in state.results:
        state = replace(state, data=loading.data_from(state))
    if step.name == "link" and any(t.rows and t.columns for t in state.data.tables.values()):
        state = replace(state, plan=plan_for(state.question, state.data))
    return state
