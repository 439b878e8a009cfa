from __future__ import annotations

import ast
import inspect
import json
import re

import pytest

from deepanalyze.analysis.conversation import Conversation, DataFile, Turn
from deepanalyze.analysis.prompt import CHAT_SYSTEM, data_section, render
from deepanalyze.datasources.base import Column
from deepanalyze.sandbox.inside.deepanalyze_kernel.loading import load

FLIGHTS = DataFile(
    "flights.csv",
    20480,
    source="warehouse",
    source_type="postgresql",
    sql="SELECT * FROM flights",
    rows=336,
    truncated=True,
    columns=(Column("carrier", "text"), Column("dep_delay", "double precision")),
)
WEATHER = DataFile("01.csv", 512, source="lake", source_type="azure_blob", path="weather/2013/01.csv")
ASKED = Turn("user", "Why?")
ROUND = (Turn("assistant", "<Code>\n1\n</Code>"), Turn("execute", "1"))


def test_the_chat_prompt_tells_of_load_as_it_is() -> None:
    [call] = re.findall(r"`(load\(.*?\))`", CHAT_SYSTEM)
    [option] = re.findall(r'\(decimals=".*?"', CHAT_SYSTEM)
    for code in (call, f"load('name.csv', {option.removeprefix('(')})"):
        parsed = ast.parse(code, mode="eval").body
        assert isinstance(parsed, ast.Call)
        inspect.signature(load).bind(*parsed.args, **{str(word.arg): word.value for word in parsed.keywords})


def test_deepanalyze_gets_instruction_and_data_as_it_was_trained() -> None:
    messages = render(Conversation((ASKED, *ROUND), (WEATHER,)), "deepanalyze")
    assert [m["role"] for m in messages] == ["user", "assistant", "execute"]
    assert messages[0]["content"].startswith("# Instruction\nWhy?\n\n# Data\nFile 1:\n{")
    assert messages[2]["content"] == "1"


def test_deepanalyze_without_data_gets_the_instruction_alone() -> None:
    assert render(Conversation((ASKED,)), "deepanalyze") == [
        {"role": "user", "content": "# Instruction\nWhy?"},
    ]


def test_the_newest_question_carries_the_data() -> None:
    talk = (ASKED, Turn("assistant", "<Answer>So.</Answer>"), Turn("user", "And then?"), *ROUND)
    for protocol in ("deepanalyze", "chat"):
        contents = [m["content"] for m in render(Conversation(talk, (FLIGHTS,)), protocol)]  # type: ignore[arg-type]
        assert [n for n, content in enumerate(contents) if '"flights.csv"' in content] == [
            next(n for n, content in enumerate(contents) if "And then?" in content)
        ]


@pytest.mark.requirement("4.6")
def test_data_section_names_everything_about_every_file() -> None:
    section = data_section([FLIGHTS, WEATHER])
    first, second = (
        json.loads(part.partition(":\n")[2]) for part in section.removeprefix("# Data\n").split("File ")[1:]
    )
    assert first == {
        "name": "flights.csv",
        "size": "20.0KB",
        "source": "warehouse (postgresql)",
        "sql": "SELECT * FROM flights",
        "rows": 336,
        "truncated": True,
        "columns": {"carrier": "text", "dep_delay": "double precision"},
    }
    assert second == {
        "name": "01.csv",
        "size": "0.5KB",
        "source": "lake (azure_blob)",
        "path": "weather/2013/01.csv",
    }


def test_many_files_and_columns_do_not_flood_the_prompt() -> None:
    wide = DataFile("wide.csv", 1, columns=tuple(Column(f"c{i}", "text") for i in range(5000)))
    section = data_section([wide, *(DataFile(f"{i:05}.csv", 1) for i in range(10_000))])
    assert len(section) < 20_000
    assert '"more_columns": 4800' in section
    assert "9941 more files, from 00059.csv to 09999.csv" in section


def test_chat_models_are_taught_the_tags_and_the_environment() -> None:
    system = render(Conversation((Turn("system", "Answer in Danish."), ASKED)), "chat")[0]
    assert system["role"] == "system"
    assert system["content"].startswith(CHAT_SYSTEM)
    assert system["content"].endswith("Answer in Danish.")
    for part in (
        "<Analyze>",
        "<Code>",
        "<Understand>",
        "<Answer>",
        "no network",
        "pandas",
        "saved as a file",
    ):
        assert part in CHAT_SYSTEM


def test_chat_models_get_results_as_user_messages_and_roles_take_turns() -> None:
    talk = (Turn("user", "First?"), ASKED, *ROUND, Turn("execute", "[note]"))
    messages = render(Conversation(talk), "chat")
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user"]
    assert messages[1]["content"] == "First?\n\nWhy?"
    assert (
        messages[3]["content"] == "Output of the code:\n```\n1\n```\n\nOutput of the code:\n```\n[note]\n```"
    )


def test_images_stay_in_a_chat_models_question() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    turn = Turn("user", [{"type": "text", "text": "Read this."}, image])
    content = render(Conversation((turn,), (WEATHER,)), "chat")[1]["content"]
    assert content[:2] == turn.content
    assert content[2]["text"].startswith("# Data\n")


def test_a_long_conversation_is_shortened_to_the_models_context() -> None:
    outputs = [
        t for i in range(20) for t in (Turn("assistant", f"<Code>{i}</Code>"), Turn("execute", "x" * 3000))
    ]
    messages = render(Conversation((ASKED, *outputs)), "deepanalyze", context_tokens=8000)
    assert sum(len(m["content"]) for m in messages) < 8000 * 3
    assert messages[-1]["content"] == "x" * 3000
    assert "longer than the model's context" in messages[2]["content"]
    assert [m["role"] for m in messages] == [t.role for t in (ASKED, *outputs)]
