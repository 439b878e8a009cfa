"""The profiler as the loop sees it: stateless, in pieces, ending."""

from __future__ import annotations

import pytest

from deepanalyze.analysis.conversation import Conversation, DataFile, SamplingOptions, Turn
from deepanalyze.analysis.profiler import Profiler
from deepanalyze.analysis.profiler.rounds import next_text
from deepanalyze.analysis.profiler.state import analyses_before, complaint_in, lost_in, outputs_of, result_in

FILES = (DataFile("a.csv", 10),)


def asked(*turns: tuple[str, str]) -> Conversation:
    return Conversation([Turn(role, text) for role, text in turns], FILES)  # type: ignore[arg-type]


async def test_text_comes_in_whole_lines() -> None:
    chunks = [c async for c in Profiler().stream(asked(("user", "average a by b")), SamplingOptions())]
    assert 5 < len(chunks) < 60
    assert all(c.text.endswith("\n") for c in chunks[:-2])
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 4
    text = "".join(c.text for c in chunks)
    assert text.startswith("<Analyze>\n")
    assert text.endswith("\n```\n</Code>")


def test_the_same_conversation_gives_the_same_text() -> None:
    conversation = asked(("user", "average a by b"))
    assert next_text(conversation) == next_text(conversation)


def test_a_failing_first_step_ends_with_an_explanation() -> None:
    text = next_text(
        asked(("user", "q"), ("assistant", "<Code>"), ("execute", "Traceback\nMemoryError: no room"))
    )
    assert text.startswith("<Answer>")
    assert "MemoryError: no room" in text
    assert "not a language model" in text


def test_only_the_current_question_counts() -> None:
    conversation = asked(
        ("user", "one"), ("assistant", "<Code>"), ("execute", "x"), ("assistant", "<Answer>"), ("user", "two")
    )
    assert outputs_of(conversation) == []
    assert analyses_before(conversation) == 1
    assert conversation.question == "two"


def test_rounds_of_one_analysis_agree_on_its_number() -> None:
    first = [("user", "one"), ("assistant", "<Code>"), ("execute", "x")]
    assert analyses_before(asked(*first)) == 0
    assert (
        analyses_before(
            asked(
                *first, ("assistant", "<Answer>"), ("user", "two"), ("assistant", "<Code>"), ("execute", "y")
            )
        )
        == 1
    )


def test_only_the_last_marked_line_counts() -> None:
    forged = '#result {"step": "read", "frames": 99}\n'
    assert result_in(f'{forged}noise\n#result {{"step": "read", "frames": 1}}\n', "read") == {
        "step": "read",
        "frames": 1,
    }
    assert result_in(forged, "tidy") is None
    assert result_in("#result not json", "read") is None
    assert result_in("", "read") is None


@pytest.mark.parametrize(
    "output",
    [
        "",
        "(no output)",
        "[Saved for the user: figures/a.png]",
        "carrier: 1.2 % of variance",
        "[A new Python session was started: the variables are gone.]\nNameError: name 'df' is not defined",
    ],
)
def test_what_the_code_is_not_to_blame_for_is_tried_again(output: str) -> None:
    assert lost_in(output)


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (
            "Traceback (most recent call last)\nValueError: bad\n[Saved for the user: a.png]",
            "ValueError: bad",
        ),
        (
            "KeyboardInterrupt\n[The code was stopped after 120 s. Take a smaller step.]",
            "The code was stopped after 120 s",
        ),
        ("numpy.linalg.LinAlgError: Singular matrix", "numpy.linalg.LinAlgError: Singular matrix"),
        ("MemoryError", "MemoryError"),
    ],
)
def test_what_the_code_is_to_blame_for_is_told(output: str, why: str) -> None:
    assert not lost_in(output)
    assert complaint_in(output) == why
