"""What a person sees of an analysis in the terminal."""

from __future__ import annotations

import io

from rich.console import Console

from deepanalyze.cli.demo.display import Display


def shown(*pieces: str) -> str:
    console = Console(file=io.StringIO(), width=100)
    with Display(console) as display:
        for piece in pieces:
            display.text(piece)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_blocks_are_told_apart_wherever_their_tags_are_cut() -> None:
    text = "<Analyze>\nI look.\n</Analyze><Code>\n```python\nprint(1)\n```\n</Code><Answer>**one** < two</Answer>"
    whole = shown(text)
    assert shown(*text) == whole
    assert "```" not in whole
    assert [
        word
        for word in ("Analyze", "I look.", "Code", "print(1)", "Answer", "one < two")
        if word not in whole
    ] == []


def test_images_are_shown_by_their_names() -> None:
    lines = shown("<File>\n- ![figures/a.png](figures/a.png)\n- [report.md](report.md)\n</File>").splitlines()
    assert [line.strip() for line in lines if "•" in line] == ["• figures/a.png", "• report.md"]


def test_long_code_and_output_are_shortened() -> None:
    many = shown("<Execute>\n" + "\n".join(f"line {n}." for n in range(100)) + "\n</Execute>")
    assert "line 0." in many
    assert "line 99." in many
    assert "# … 76 more lines …" in many
    assert "line 50." not in many
    wide = shown("<Execute>\n" + "x" * 5000 + "\n</Execute>")
    assert wide.count("x") < 300


def test_an_answer_that_breaks_off_is_shown_as_far_as_it_came() -> None:
    assert "half of" in shown("<Answer>half of <")
