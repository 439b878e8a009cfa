"""What the reading program says, checked and as the values of the package: it may have been taken over by the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from deepanalyze.datasources.base import Column
from deepanalyze.datasources.capabilities import ColumnStatistics, Statistics, Table
from deepanalyze.datasources.paths import printable
from deepanalyze.datasources.tabular.protocol import MEMORY_BYTES
from deepanalyze.errors import DeepAnalyzeError, FileTooLarge, InvalidRequest, NotSupported

_MAX_MESSAGE = 600


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Column(_Answer):
    name: str
    type: str


class PreviewAnswer(_Answer):
    columns: list[_Column]
    rows: list[list[Any]]
    truncated: bool


class _Measured(_Column):
    count: int
    nulls: int
    min: Any = None
    max: Any = None
    mean: float | None
    stddev: float | None
    distinct: int | None = None


class StatisticsAnswer(_Answer):
    row_count: int
    columns: list[_Measured]


class _Failed(_Answer):
    error: Literal["unreadable", "too_large", "unknown", "needs_whole"]
    message: str = ""
    format: str | None = None


Answer = PreviewAnswer | StatisticsAnswer
_ANSWERS: TypeAdapter[PreviewAnswer | StatisticsAnswer | _Failed] = TypeAdapter(
    PreviewAnswer | StatisticsAnswer | _Failed
)


@dataclass(frozen=True, slots=True)
class FileLabel:
    """The file as messages name it; by its `name` its format is guessed where the contents do not tell it."""

    source: str
    path: str
    name: str

    def __str__(self) -> str:
        return f"source '{self.source}': '{printable(self.path)}'"


class NeedsMore(Exception):
    """More of the file has to be read, or the whole of it."""

    def __init__(self, *, whole: bool = False) -> None:
        super().__init__()
        self.whole = whole


def understood(label: FileLabel, output: bytes) -> Answer:
    """Raises NeedsMore, or the error that the program tells of. Blocking: for worker threads."""
    try:
        answer = _ANSWERS.validate_json(output)
    except ValidationError:
        raise died(label) from None
    if isinstance(answer, _Failed):
        raise NeedsMore if answer.error == "needs_whole" else _failure(label, answer)
    return answer


def table_of(label: FileLabel, answer: Answer) -> Table:
    if not isinstance(answer, PreviewAnswer) or any(len(row) != len(answer.columns) for row in answer.rows):
        raise died(label)
    columns = tuple(Column(column.name, column.type) for column in answer.columns)
    return Table(columns, answer.rows, answer.truncated)


def statistics_of(label: FileLabel, answer: Answer) -> Statistics:
    if not isinstance(answer, StatisticsAnswer):
        raise died(label)
    columns = [ColumnStatistics(**column.model_dump()) for column in answer.columns]
    return Statistics(answer.row_count, estimated=False, columns=columns)


def died(label: FileLabel) -> DeepAnalyzeError:
    memory = MEMORY_BYTES // 1024**2
    return InvalidRequest(
        f"{label} could not be read: it is damaged, or needs more than the {memory:,} MB of memory that reading a file "
        "may take; fetch it into a thread to look into it",
        param="path",
    )


def _failure(label: FileLabel, answer: _Failed) -> DeepAnalyzeError:
    message = printable(answer.message, _MAX_MESSAGE)
    if answer.error == "too_large":
        return FileTooLarge(f"{label} {message}", param="path")
    if answer.error == "unknown":
        return NotSupported(f"{label} {message}", param="path")
    kind = printable(answer.format or "compressed", 20)
    return InvalidRequest(f"{label} is not a readable {kind} file: {message}", param="path")
