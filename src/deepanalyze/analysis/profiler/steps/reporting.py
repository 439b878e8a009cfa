"""The round that writes the report: sentences from here, tables from the frames in the kernel."""

from __future__ import annotations

from deepanalyze.analysis.profiler.answering import NOT_A_MODEL, understanding_notes, went_astray
from deepanalyze.analysis.profiler.code import block, kit, literal
from deepanalyze.analysis.profiler.facts import Table
from deepanalyze.analysis.profiler.plan import Plan
from deepanalyze.analysis.profiler.prose import listed, rows, safe, several, spoken
from deepanalyze.analysis.profiler.quality import quality_notes, truncation_note
from deepanalyze.analysis.profiler.state import State
from deepanalyze.analysis.profiler.steps.studying import purpose
from deepanalyze.analysis.profiler.telling import findings_of


def report_text(state: State) -> str:
    drawn = state.results.get("draw", {}).get("figures", [])
    charts = f"{several(len(drawn), 'chart')} drawn. " if drawn else "No chart could be drawn. "
    return f"{charts}I write the report `{state.report_name}`."


def report_code(state: State) -> str:
    text = "\n\n".join([*opening(state), *figures(state), *details(state)])
    return block(
        kit("reporting"),
        f"report = [r'''{raw(text)}''']",
        appendix_code(state),
        [
            f'Path({literal(state.report_name)}).write_text("\\n\\n".join(report) + "\\n", encoding="utf-8")',
            f'show("report", {{"file": {literal(state.report_name)}}})',
        ],
    )


def raw(text: str) -> str:
    """Fit for a raw string in triple quotes, inside a code block."""
    return text.replace("'''", "’’’").replace("```", "''").replace("</", "&lt;/").rstrip("\\'")


def opening(state: State) -> list[str]:
    found = findings_of(state)
    title = safe(state.question, 160) or "Data profile"
    caution = truncation_note(state)
    return [
        part
        for part in (
            f"# {title}",
            f"> {caution}" if caution else "",
            "## Answer",
            *(understanding_notes(state) if went_astray(state) else ()),
            found.headline,
            "\n".join(f"- {p}" for p in found.points),
            *(() if went_astray(state) else understanding_notes(state)),
            NOT_A_MODEL,
        )
        if part
    ]


def figures(state: State) -> list[str]:
    drawn = state.results.get("draw", {}).get("figures", [])
    made = ["## Charts"] if drawn else []
    for path, caption in drawn:
        made.append(f"![{safe(caption, 160)}]({path})")
    return made


def details(state: State) -> list[str]:
    found = findings_of(state)
    parts = ["## Tables", *found.tables] if found.tables else []
    parts += ["## Method", *method(state)]
    notes = quality_notes(state)
    parts += ["## Data quality", *(f"- {note}" for note in notes)] if notes else []
    caveats = [
        *found.caveats,
        "Outliers were kept. Rows without a value in a column do not count in its figures.",
    ]
    return [*parts, "## Caveats", *(f"- {caveat}" for caveat in caveats)]


def method(state: State) -> list[str]:
    plan = state.plan
    if plan is None:
        return []
    names = [plan.base.name, *(join.link.one for join in plan.joins)]
    sources = listed([files_words(state.data.tables[name]) for name in names])
    told = (
        f"Computed over {rows(plan.base.rows)} of {spoken(plan.base.name)}, from {sources}. {purpose(plan)}"
    )
    return [told, *model_words(plan)]


def files_words(table: Table) -> str:
    files = table.files
    if len(files) <= 3:
        return listed([safe(file) for file in files])
    return f"the {len(files):,} files of {spoken(table.name)} ({safe(files[0])} to {safe(files[-1])})"


def model_words(plan: Plan) -> list[str]:
    if plan.kind != "drivers":
        return []
    controls = listed([spoken(c.name) for c in plan.controls])
    return [
        "Numbers are cut into about equally full bins (a value that a third of the rows share is a bin of "
        "its own), categories into their 40 commonest values. "
        "“Explains alone” is the adjusted share of variance between the means of those levels (η²). One "
        "linear model, lightly regularised, holds all drivers"
        + (f" and, as background, {controls}" if controls else "")
        + "; “adds beyond the others” is what its adjusted R² loses without the driver. "
        "A missing value is a level of its own in the model. "
        "“Others held equal” is the mean that the model gives a level when all else is at its average."
    ]


def appendix_code(state: State) -> list[str]:
    """The columns of every table, from the description made earlier."""
    return [
        'report.append("## Appendix: the data")',
        "for name, facts in described.items():",
        '    report.append(f"### {cell(name)} ({len(tables[name]):,} rows)")',
        "    report.append(markdown_table(appendix(facts), most=60))",
    ]
