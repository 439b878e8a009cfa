from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deepanalyze.analysis.reply import Reply, ReplyReader
from tests.unit.analysis.test_protocol import TEXTS, chunked


def read(*chunks: str, finish_reason: str | None = "stop") -> tuple[str, Reply]:
    reader = ReplyReader()
    shown = "".join(reader.feed(chunk) for chunk in chunks) + reader.finish(finish_reason)
    return shown, reader.reply()


@given(TEXTS, st.integers(0, 2**16), st.sampled_from(["stop", "length", None]))
def test_any_chunking_gives_the_same_reply(text: str, seed: int, reason: str | None) -> None:
    assert read(*chunked(text, seed), finish_reason=reason) == read(text, finish_reason=reason)


@given(TEXTS)
def test_what_is_shown_reads_the_same_again(text: str) -> None:
    assume("'''" not in text)  # a string that never ends may as well end at the fence that is put back
    shown, reply = read(text)
    assert read(shown)[1] == reply


CODE = "print(1)"


@pytest.mark.parametrize(
    "text",
    [
        "<Code>\n```python\nprint(1)\n```\n</Code>",
        "<Code>\n```python\nprint(1)\n```\n",  # cut by the stop string
        "<Code>\n```python\nprint(1)\n```\n</Co",  # cut inside it
        "<Code>```py\nprint(1)\n```</Code>",
        "<Code>\n~~~\nprint(1)\n~~~\n</Code>",
        "<Code>\n````python\nprint(1)\n````\n</Code>",
        "<Code>\n```python\nprint(1)\n</Code>",  # fence never closed
        "<Code>\nprint(1)\n</Code>",
        "<Code>print(1)</Code>\n<Execute>\n1\n</Execute><Answer>invented</Answer>",
        "<Code>\n```python\nprint(1)\n```\n<Execute>\n1\n</Execute>\n<Answer>invented</Answer>",
        "<Analyze>I write <Code> first.</Analyze>\n<Code>\nprint(1)\n</Code>",
        "<think><Code>no</Code></think><Code>print(1)</Code>",
        "I will run <Code>this</think>\n<Code>print(1)</Code>",
        "Let us see:\n```python\nprint(1)\n```\nThen I go on.",
        "<Analyze>Look.</Analyze>\n```python\nprint(1)\n```",
    ],
)
def test_code_is_found(text: str) -> None:
    shown, reply = read(text)
    assert reply.code == CODE
    assert reply.answer is None
    assert "invented" not in shown + reply.text


def test_a_report_with_fences_inside_a_string_stays_whole() -> None:
    code = 'report = """\n# Title\n```\na  b\n```\n"""\nopen("r.md", "w").write(report)'
    assert read(f"<Code>\n```python\n{code}\n```\n</Code>")[1].code == code
    assert read(f"<Code>\n{code}\n</Code>")[1].code == code


def test_two_fences_in_one_block_run_together() -> None:
    text = "<Code>\n```python\na = 1\n```\nand then\n```python\nprint(a)\n```\n</Code>"
    assert read(text)[1].code == "a = 1\n\nprint(a)"


def test_a_stop_string_that_was_cut_off_is_put_back() -> None:
    shown, reply = read("<Code>\n```python\nprint(1)\n")
    assert shown == "<Code>\n```python\nprint(1)\n\n```\n</Code>"
    assert reply.text == shown


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<Answer>\n42\n</Answer>", "42"),
        ("<Answer>42", "42"),
        ("<Answer>42</Answer>\nOh, and <Code>1</Code>", "42"),
        ("It is 42.", "It is 42."),
        ("<Understand>So.</Understand>\nIt is 42.", "It is 42."),
        ("<think>hm</think>It is 42.", "It is 42."),
        ("Use this:\n```sql\nSELECT 1\n```", "Use this:\n```sql\nSELECT 1\n```"),
        ("<Answer>Try\n```python\nprint(1)\n```\n</Answer>", "Try\n```python\nprint(1)\n```"),
    ],
)
def test_answer_is_found(text: str, answer: str) -> None:
    reply = read(text)[1]
    assert (reply.code, reply.answer) == (None, answer)


def test_both_code_and_answer_run_the_code_first() -> None:
    shown, reply = read("<Code>print(1)</Code><Answer>It printed 7.</Answer>")
    assert (reply.code, reply.answer, shown) == (CODE, None, "<Code>print(1)</Code>")


def test_code_that_was_cut_off_at_the_token_limit_does_not_run() -> None:
    reply = read("<Code>\nimport shutil; shutil.rmtree('tmp", finish_reason="length")[1]
    assert reply.cut_off
    assert reply.code is None


@pytest.mark.parametrize("text", ["", " \n", "<think>nothing comes of it</think>"])
def test_an_empty_reply(text: str) -> None:
    reply = read(text)[1]
    assert reply.empty
    assert (reply.code, reply.answer) == (None, None)


def test_an_analysis_that_stops_between_two_steps_is_neither_code_nor_answer() -> None:
    reply = read("<Analyze>First I would look.</Analyze>")[1]
    assert (reply.empty, reply.code, reply.answer) == (False, None, None)


def test_torn_tags_are_held_back_until_whole() -> None:
    reader = ReplyReader()
    assert [reader.feed(c) for c in ("1 <", " 2 <Ans", "wer>", "yes</", "Answer>")] == [
        "1 ",
        "< 2 ",
        "<Answer>",
        "yes",
        "</Answer>",
    ]
    assert reader.complete
    assert not reader.overrun
    assert reader.feed("more") == ""
    assert reader.overrun
