from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deepanalyze.analysis.context import fit
from deepanalyze.analysis.conversation import Turn

SYSTEM, QUESTION = Turn("system", "s" * 400), Turn("user", "q" * 600)


def lengths(turns: list[Turn]) -> list[tuple[str, int]]:
    return [(turn.role, len(turn.text)) for turn in turns]


texts = st.integers(0, 5_000).map("x".__mul__)
earlier = st.lists(st.builds(Turn, st.sampled_from(["user", "assistant", "execute"]), texts), max_size=12)
rounds = st.lists(st.tuples(texts, texts), max_size=8)


@given(earlier, rounds, st.integers(1_500, 20_000))
def test_it_fits_and_what_is_asked_stays(
    before: list[Turn], steps: list[tuple[str, str]], context_tokens: int
) -> None:
    since = [turn for wrote, got in steps for turn in (Turn("assistant", wrote), Turn("execute", got))]
    turns = [SYSTEM, *before, QUESTION, *since]
    fitted = fit(turns, context_tokens)
    assert SYSTEM in fitted
    assert QUESTION in fitted
    assert len([t for t in fitted[fitted.index(QUESTION) :] if t.role == "execute"]) == len(steps)
    newest_writing = len(since[-2].text) if since else 0
    least = 1_000 + newest_writing + len(since) * 270 + 1_100
    assert sum(len(turn.text) for turn in fitted) <= max(context_tokens * 3 * 0.75 + 60, least)
    if sum(len(turn.text) for turn in turns) <= context_tokens * 3 * 0.75:
        assert fitted == turns


def test_old_outputs_go_first_then_earlier_answers_then_earlier_questions() -> None:
    turns = [Turn("user", "u" * 900), Turn("assistant", "a" * 900), QUESTION, Turn("assistant", "c" * 900)]
    turns += [Turn("execute", "o" * 900), Turn("assistant", "d" * 900), Turn("execute", "p" * 900)]
    assert lengths(fit(turns, 2_800)) == lengths(turns)
    some, more, most, all_there_is = (lengths(fit(turns, tokens)) for tokens in (2_500, 2_200, 1_900, 1_200))
    assert [size for _, size in some] == [900, 900, 600, 900, 269, 900, 900]
    assert [size for _, size in more] == [900, 269, 600, 900, 269, 900, 900]
    assert [size for _, size in most] == [269, 600, 900, 269, 900, 900]
    assert [size for _, size in all_there_is] == [600, 269, 269, 900, 900]


def test_what_is_sent_beside_the_turns_takes_room() -> None:
    turns = [
        QUESTION,
        Turn("assistant", "c"),
        Turn("execute", "o" * 900),
        Turn("assistant", "d"),
        Turn("execute", "p"),
    ]
    assert fit(turns, 800) == turns
    assert lengths(fit(turns, 800, beside_chars=400))[2] == ("execute", 269)


def test_a_newest_output_that_is_too_long_keeps_its_head_and_tail() -> None:
    turns = [QUESTION, Turn("assistant", "c"), Turn("execute", "A" + "o" * 9_000 + "Z")]
    output = fit(turns, 2_000)[-1].text
    assert len(output) < 4_000
    assert (output[0], output[-1]) == ("A", "Z")
