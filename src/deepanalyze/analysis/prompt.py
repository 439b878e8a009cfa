"""What a model is sent: a conversation rendered as OpenAI messages, in the protocol that the model knows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from deepanalyze.analysis.context import fit
from deepanalyze.analysis.conversation import Conversation, DataFile, Turn
from deepanalyze.analysis.fences import fenced

Protocol = Literal["deepanalyze", "chat"]
Message = dict[str, Any]

_MAX_FILES = 60
_MAX_COLUMNS = 200
_MAX_SQL_CHARS = 4_000

CHAT_SYSTEM = """\
You are DeepAnalyze, a careful data analyst. You answer questions about the files listed under "# Data" by running \
Python, one step at a time. Everything you write is made of these blocks:

<Analyze>what you will do next and why, briefly</Analyze>
<Code>
```python
# one step; print what you need to see
```
</Code>
<Understand>what the output tells you</Understand>
<Answer>the complete answer, in Markdown, in the user's language</Answer>

How it works:
- After every </Code> stop. The code is run and its output is sent to you as the next message. Never write an \
<Execute> block or guess an output yourself.
- The code runs in one Python session in the directory of the files: open them by their names. \
`load("name.csv")` gives a DataFrame with the database's own types (decimals="float" where exact decimals are in the \
way). Variables stay from one block to the next. Blocks should be short; look at the data (columns, types, missing \
values) before you conclude.
- numpy, pandas, scipy, scikit-learn, statsmodels, matplotlib, seaborn, plotly, openpyxl, pyarrow and duckdb are \
installed. There is no network and nothing can be installed.
- Every figure that is shown or left open at the end of a block is saved as a file for the user. Other results worth \
keeping (tables, a report) may be written as files into the current directory.
- Errors come back as output: correct them and go on.
- When you can answer, write one <Answer> block with the numbers you computed and end there. It must stand on its own. \
If data was truncated (see "truncated" under "# Data"), say so.
- A question that needs no data is answered with an <Answer> block right away."""


def render(
    conversation: Conversation, protocol: Protocol, *, context_tokens: int | None = None
) -> list[Message]:
    """The messages for one model call. The newest user's turn carries the data at hand."""
    data = data_section(conversation.files)
    beside = len(data) + (len(CHAT_SYSTEM) if protocol == "chat" else 0)
    turns = fit(conversation.turns, context_tokens, beside_chars=beside)
    asked = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=None)
    write = _deepanalyze if protocol == "deepanalyze" else _chat
    messages = [write(turn, data if i == asked else None) for i, turn in enumerate(turns)]
    return messages if protocol == "deepanalyze" else _joined(_with_system(messages))


def data_section(files: Sequence[DataFile]) -> str:
    """One JSON block for each file, as DeepAnalyze-8B was trained to read them; empty without files."""
    if not files:
        return ""
    listed = [f"File {n}:\n{_described(file)}\n" for n, file in enumerate(files[:_MAX_FILES], start=1)]
    if more := [file.name for file in files[_MAX_FILES:]]:
        listed.append(f"and {len(more)} more files, from {more[0]} to {more[-1]}\n")
    return "# Data\n" + "\n".join(listed)


def _described(file: DataFile) -> str:
    facts: dict[str, Any] = {"name": file.name, "size": _readable(file.bytes)}
    if file.source:
        facts["source"] = f"{file.source} ({file.source_type})" if file.source_type else file.source
    if file.sql:
        facts["sql"] = file.sql[:_MAX_SQL_CHARS]
    if file.path:
        facts["path"] = file.path
    if file.content_encoding:
        facts["content_encoding"] = file.content_encoding
    if file.rows is not None:
        facts["rows"] = file.rows
    if file.truncated:
        facts["truncated"] = True
    if file.columns:
        facts["columns"] = {column.name: column.type for column in file.columns[:_MAX_COLUMNS]}
        if len(file.columns) > _MAX_COLUMNS:
            facts["more_columns"] = len(file.columns) - _MAX_COLUMNS
    return json.dumps(facts, indent=4, ensure_ascii=False)


def _readable(size: int) -> str:
    return f"{size / 1024:.1f}KB"


def _deepanalyze(turn: Turn, data: str | None) -> Message:
    if data is None:
        return {"role": turn.role, "content": turn.text}
    return {
        "role": "user",
        "content": "\n\n".join(filter(None, [f"# Instruction\n{turn.text.strip()}", data])),
    }


def _chat(turn: Turn, data: str | None) -> Message:
    if turn.role == "execute":
        return {"role": "user", "content": f"Output of the code:\n{fenced(turn.text)}"}
    if not data:
        return {"role": turn.role, "content": turn.content}
    if isinstance(turn.content, str):
        return {"role": turn.role, "content": f"{turn.content.strip()}\n\n{data}"}
    return {"role": turn.role, "content": [*turn.content, {"type": "text", "text": data}]}


def _with_system(messages: list[Message]) -> list[Message]:
    """One system message: ours, then what the client wrote into its own."""
    own = [str(m["content"]) for m in messages if m["role"] == "system"]
    system = "\n\n".join([CHAT_SYSTEM, *own])
    return [{"role": "system", "content": system}, *(m for m in messages if m["role"] != "system")]


def _joined(messages: list[Message]) -> list[Message]:
    """Joins neighbours of one role: many chat templates insist that user and assistant take turns."""
    joined: list[Message] = []
    for message in messages:
        last = joined[-1] if joined else None
        if last is None or last["role"] != message["role"]:
            joined.append(dict(message))
        elif isinstance(last["content"], str) and isinstance(message["content"], str):
            last["content"] = f"{last['content']}\n\n{message['content']}"
        else:
            last["content"] = [*_parts(last["content"]), *_parts(message["content"])]
    return joined


def _parts(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
