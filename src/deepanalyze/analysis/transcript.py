"""The text of an answer, as the user reads it, and the turns that it is made of, as the model wrote and read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from deepanalyze.analysis.conversation import Turn
from deepanalyze.analysis.fences import fenced, fences
from deepanalyze.analysis.limits import head_and_tail
from deepanalyze.analysis.models.base import Replaced
from deepanalyze.analysis.protocol import Piece, blocks, pieces, spoken
from deepanalyze.datasources.references import FetchedFile
from deepanalyze.workspace import WorkspaceFile

_MAX_LAST_OUTPUT = 4_000


def execute_block(output: str) -> str:
    return f"\n<Execute>\n{fenced(output.replace('</Execute>', '&lt;/Execute>'))}\n</Execute>\n"


def file_block(files: Sequence[WorkspaceFile]) -> str:
    """Links with plain names: whoever shows them knows where the thread's files are to be had."""
    return "<File>\n" + "".join(f"- {_link(f)}\n" for f in files) + "</File>\n"


def _link(file: WorkspaceFile) -> str:
    label = re.sub(r"([\\\[\]<>])", r"\\\1", file.name)
    image = "!" if file.mime_type.startswith("image/") else ""
    return f"{image}[{label}]({quote(file.name)})"


def truncation_notice(files: Sequence[FetchedFile]) -> str:
    """What has to be said before anything else when data was cut; nothing when it was not."""
    cut = [_cut(f) for f in files if f.truncated]
    if not cut:
        return ""
    return f"**Incomplete data:** {'; '.join(cut)}. All results below describe these rows only.\n\n"


def _cut(file: FetchedFile) -> str:
    kept = f"{file.rows:,}" if file.rows is not None else "some"
    return (
        f"`{file.file}` holds only the first {kept} rows of source '{file.name}' "
        f"(the limit was max_rows = {kept}; raise it to get more)"
    )


def replacement_notice(replaced: Replaced) -> str:
    """Stands before the answer of a model that was asked because another had failed."""
    return f"*Model '{replaced.failed}' could not answer; this is from '{replaced.model}'.*\n\n"


def stopped_notice(why: str) -> str:
    """Stands before an answer that the model was asked for when a limit was reached."""
    return f"\n\n*The analysis was stopped {why}; what follows rests on what was known by then.*\n\n"


def best_answer(why: str, turns: Sequence[Turn], last_output: str) -> str:
    """The answer of an analysis whose model gave none: what it understood last, and the last output."""
    found = [f"*The analysis was stopped {why}; the model gave no final answer.*"]
    if understood := _last_understood(turns):
        found.append(f"What it had understood last:\n\n{understood}")
    if last_output:
        output = head_and_tail(last_output.replace("</Answer>", "&lt;/Answer>"), _MAX_LAST_OUTPUT)
        found.append(f"The last output of its code:\n\n{fenced(output)}")
    return "\n<Answer>\n" + "\n\n".join(found) + "\n</Answer>\n"


def _last_understood(turns: Sequence[Turn]) -> str | None:
    """Of the answer under way: what stands before the newest question belongs to another."""
    for turn in reversed(turns):
        if turn.role == "user":
            return None
        told = (
            [b.text.strip() for b in blocks(turn.text) if b.tag == "Understand"]
            if turn.role == "assistant"
            else []
        )
        if any(told):
            return [text for text in told if text][-1].replace("</Answer>", "&lt;/Answer>")
    return None


def turns_of(text: str) -> list[Turn]:
    """Cuts an assistant's whole answer into what the model wrote and what its code blocks gave back."""
    turns: list[Turn] = []
    written: list[Piece] = []
    output: list[str] = []
    for piece in pieces(text):
        if piece.tag != "Execute":
            written += [piece] if piece.tag != "File" else []
        elif piece.kind == "text":
            output.append(piece.raw)
        elif piece.kind == "open":
            turns += _assistant(written)
            written, output = [], []
        else:
            turns.append(Turn("execute", _unfenced("".join(output))))
    return [*turns, *_assistant(written)]


def _assistant(written: Sequence[Piece]) -> list[Turn]:
    text = "".join(piece.raw for piece in spoken(written)).strip()
    return [Turn("assistant", text)] if text else []


def _unfenced(block: str) -> str:
    fence = next(fences(block), None)
    return (fence.body if fence else block).strip("\n")
