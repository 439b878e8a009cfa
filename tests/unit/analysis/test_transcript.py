from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deepanalyze.analysis.conversation import Turn
from deepanalyze.analysis.fences import fenced, fences
from deepanalyze.analysis.limits import head_and_tail
from deepanalyze.analysis.transcript import execute_block, file_block, truncation_notice, turns_of
from deepanalyze.datasources.references import FetchedFile
from deepanalyze.workspace import WorkspaceFile

CODE = "<Analyze>look</Analyze>\n<Code>\n```python\nprint(1)\n```\n</Code>"


def test_an_answer_falls_apart_into_the_turns_it_was_made_of() -> None:
    plot = WorkspaceFile("out/plot 1.png", 10, 0, "image/png")
    text = CODE + execute_block("1") + file_block([plot]) + "<think>hm</think><Answer>one</Answer>"
    assert turns_of(text) == [
        Turn("assistant", CODE),
        Turn("execute", "1"),
        Turn("assistant", "<Answer>one</Answer>"),
    ]


PIECES = st.sampled_from([*"`~ax \n'\"#<>/", "```", '"""', "</Execute>", "<Answer>"])


@given(st.lists(PIECES, max_size=30).map("".join))
def test_no_output_can_break_out_of_its_block(output: str) -> None:
    turns = turns_of(CODE + execute_block(output + "x") + "<Answer>1</Answer>")
    assert [turn.role for turn in turns] == ["assistant", "execute", "assistant"]
    assert turns[1].text.replace("&lt;", "<").strip("\n") == (output + "x").strip("\n")


@given(st.text(alphabet=st.sampled_from(list("`a\n")), max_size=30))
def test_fenced_text_is_one_fence(text: str) -> None:
    found = list(fences(fenced(text)))
    assert [fence.body.removesuffix("\n") for fence in found] == [text]


def test_files_are_linked_by_their_plain_names() -> None:
    files = [
        WorkspaceFile("a [1].csv", 1, 0, "text/csv"),
        WorkspaceFile("charts/ü.png", 1, 0, "image/png"),
    ]
    assert file_block(files) == (
        "<File>\n- [a \\[1\\].csv](a%20%5B1%5D.csv)\n- ![charts/ü.png](charts/%C3%BC.png)\n</File>\n"
    )


def test_truncation_is_told_with_file_rows_and_limit() -> None:
    whole = FetchedFile("a.csv", "ds-1", "pg", "postgresql", 10, rows=3)
    cut = FetchedFile("b.csv", "ds-1", "pg", "postgresql", 10, rows=10_000, truncated=True)
    assert truncation_notice([whole]) == ""
    notice = truncation_notice([whole, cut])
    for part in ("b.csv", "10,000 rows", "max_rows = 10,000", "'pg'"):
        assert part in notice
    assert "a.csv" not in notice


def test_long_output_keeps_its_head_and_tail() -> None:
    text = "a" * 500 + "b" * 500
    short = head_and_tail(text, 90)
    assert short.startswith("a" * 60 + "\n")
    assert short.endswith("\n" + "b" * 30)
    assert "910 characters left out" in short
    assert head_and_tail(text, 1000) == text
