"""The round that answers the question, by the kind of answer it wants."""

from __future__ import annotations

import re

from deepanalyze.analysis.profiler.plan import Plan
from deepanalyze.analysis.profiler.prose import listed, spoken
from deepanalyze.analysis.profiler.state import State
from deepanalyze.analysis.profiler.steps import drivers, grouping, loading, relating, surveying, trending
from deepanalyze.analysis.profiler.words import normalise


def compare_text(state: State) -> str:
    plan = plan_of(state)
    joins = [f"{spoken(j.link.one)} by {listed([spoken(a) for a, _ in j.link.on])}" for j in plan.joins]
    joined = (
        f" I join {listed(joins)} to {spoken(plan.base.name)}, many rows to one, and check that no row is multiplied."
        if joins
        else ""
    )
    return f"{loading.study_text(state)}{purpose(plan)}{joined}"


def study_text(state: State) -> str:
    if plan_of(state).kind != "drivers":
        return compare_text(state)
    return (
        "The levels differ. One model on all drivers at once shows what each adds beyond the others, and "
        "what remains when the others are held equal."
    )


def compare_code(state: State) -> str:
    return drivers.compare_code(plan_of(state))


def purpose(plan: Plan) -> str:
    target = spoken(plan.target.name) if plan.target else "the number of rows"
    groups = listed([spoken(g.name) for g in plan.groups])
    match plan.kind:
        case "drivers":
            return (
                f"I compare {target} across the levels of every driver, measure the share of its variance "
                "that each explains "
                "alone and beyond the others, and fit one model on all of them."
            )
        case "trend":
            return f"I follow {target} over time."
        case "relation":
            return f"I look at how {target} goes with {groups}."
        case "overview":
            return f"I describe {spoken(plan.base.name)} as a whole."
        case _ if groups:
            return f"I compute {target} for each {groups}."
        case _:
            return f"I compute {target}."


def study_code(state: State) -> str:
    plan = plan_of(state)
    match plan.kind:
        case "drivers":
            return drivers.study_code(plan)
        case "trend":
            text = normalise(state.question)
            step = next((name for name, pattern in trending.STEPS if re.search(pattern, text)), None)
            return trending.study_code(plan, step)
        case "relation":
            return relating.study_code(plan)
        case "overview":
            return surveying.study_code(plan)
        case _:
            return grouping.study_code(plan)


def survey_text(state: State) -> str:
    return "That did not work on these data. I describe them as a whole instead."


def survey_code(state: State) -> str:
    return surveying.study_code(plan_of(state), "survey")


def plan_of(state: State) -> Plan:
    assert state.plan is not None
    return state.plan
