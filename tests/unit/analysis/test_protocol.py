from __future__ import annotations

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepanalyze.analysis.protocol import TAGS, Block, Piece, TagParser, blocks, pieces

_TOKENS = st.sampled_from(
    [
        *(f"<{tag}>" for tag in (*TAGS, "think")),
        *(f"</{tag}>" for tag in (*TAGS, "think")),
        "```python\n",
        "```\n",
        "`",
        "\n",
        "<",
        "</",
        "<Co",
        "print('</Answer>')\n",
        "'''",
        "日本",
        " ",
        "x",
    ]
)
TEXTS = st.lists(_TOKENS, max_size=30).map("".join) | st.text(max_size=60)


def chunked(text: str, seed: int) -> list[str]:
    rng = random.Random(seed)
    cuts = sorted(rng.choices(range(len(text) + 1), k=rng.randint(0, 12)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def merged(found: list[Piece]) -> list[Piece]:
    result: list[Piece] = []
    for piece in found:
        if result and piece.kind == result[-1].kind == "text":
            result[-1] = Piece("text", piece.tag, result[-1].raw + piece.raw)
        else:
            result.append(piece)
    return result


@given(TEXTS, st.integers(0, 2**16))
@example("<Analyze>a</Analyze><Code>\nx\n</Code><Execute>\n1\n</Execute>", 3)
def test_any_chunking_gives_the_same_pieces(text: str, seed: int) -> None:
    parser = TagParser()
    found = [piece for chunk in chunked(text, seed) for piece in parser.feed(chunk)]
    assert merged([*found, *parser.finish()]) == merged(pieces(text))


@given(TEXTS)
def test_no_text_is_lost_or_made_up(text: str) -> None:
    assert "".join(piece.raw for piece in pieces(text)) == text


def test_blocks_of_a_plain_analysis() -> None:
    text = "<Analyze>\nlook\n</Analyze>\n<Code>\n```python\n1\n```\n</Code><Answer>\n**42**\n</Answer>"
    assert blocks(text) == [
        Block("Analyze", "\nlook\n"),
        Block(None, "\n"),
        Block("Code", "\n```python\n1\n```\n"),
        Block("Answer", "\n**42**\n"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<Analyze>use `<Code>` then", [Block("Analyze", "use `<Code>` then", closed=False)]),
        ("<Analyze>a<Code>b", [Block("Analyze", "a", closed=False), Block("Code", "b", closed=False)]),
        ("<Analyze>a</Understand>b", [Block("Analyze", "a"), Block(None, "b")]),
        ("<Answer>the <Code> tag</Answer>", [Block("Answer", "the <Code> tag")]),
        ("<Execute>\n<Answer>no</Answer>\n</Execute>", [Block("Execute", "\n<Answer>no</Answer>\n")]),
        ("<Code>\ns = '<Analyze>'\n</Code>", [Block("Code", "\ns = '<Analyze>'\n")]),
        (
            "<Code>\n1\n<Execute>\n1",
            [Block("Code", "\n1\n", closed=False), Block("Execute", "\n1", closed=False)],
        ),
        (
            "<Code>\n```python\n'''\n<Answer>\n'''\n```\n</Code>",
            [Block("Code", "\n```python\n'''\n<Answer>\n'''\n```\n")],
        ),
        (
            "<think>maybe <Code>x</Code></think>four",
            [Block("think", "maybe <Code>x</Code>"), Block(None, "four")],
        ),
        (
            "so <Answer> it is</think>four",
            [Block(None, "so "), Block("think", " it is"), Block(None, "four")],
        ),
        ("a < b and </Code>", [Block(None, "a < b and </Code>")]),
    ],
)
def test_what_counts_as_a_tag(text: str, expected: list[Block]) -> None:
    assert blocks(text) == expected
