"""OpenAI's chat body with DeepAnalyze's additions, and the analysis that it asks for.

Fields that are not named here are ignored, as clients send many; within `data_sources` nothing is, because a
misspelt limit there would change the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from deepanalyze.accounts import Principal
from deepanalyze.analysis.conversation import SamplingOptions, Turn
from deepanalyze.analysis.request import AnalysisRequest, PlacedFile, PlacedReference
from deepanalyze.datasources.references import DataReference
from deepanalyze.errors import InvalidRequest


class ReferencedData(BaseModel):
    """Exactly one of `path`, `query` and `table`."""

    model_config = ConfigDict(extra="forbid")

    type: str | None = Field(default=None, description="checked against the source's own, when given")
    path: str | None = Field(
        default=None, min_length=1, description="a blob's name, a glob, or a prefix ending in `/`"
    )
    query: str | None = Field(default=None, min_length=1, description="one SQL query that reads")
    table: str | None = Field(default=None, min_length=1, description="`schema.table`, in SQL's own quoting")
    format: Literal["csv", "parquet"] = Field(
        default="csv",
        description="of the file that a query or table becomes; Parquet keeps the types exactly",
    )
    save_as: str | None = Field(default=None, min_length=1, max_length=1000, description="the file's name")
    max_rows: Annotated[int, Field(strict=True, ge=1)] | None = None
    version_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=60,
        description="an older version of the one blob that `path` names",
    )
    snapshot: str | None = Field(
        default=None, min_length=1, max_length=60, description="a snapshot of the one blob that `path` names"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.path, self.query, self.table)) != 1:
            raise ValueError("give exactly one of path, query and table")
        return self

    def reference(self, source_id: str) -> DataReference:
        return DataReference(source_id=source_id, **self.model_dump(exclude={"source_id", "thread_id"}))


class SourceReference(ReferencedData):
    source_id: str = Field(min_length=1, description="the source's id or name")


def _text_of(text: Any) -> Any:
    return text["value"] if isinstance(text, dict) and isinstance(text.get("value"), str) else text


class TextPart(BaseModel):
    type: Literal["text"]
    text: Annotated[str, BeforeValidator(_text_of)]


class ImageUrl(BaseModel):
    url: str = Field(min_length=1)
    detail: str | None = None


class ImagePart(BaseModel):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Discriminator("type")]


def _kind_of_content(content: Any) -> str:
    return "parts" if isinstance(content, list) else "text"


Content = Annotated[
    Annotated[str | None, Tag("text")] | Annotated[list[Part], Tag("parts")], Discriminator(_kind_of_content)
]


class ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "execute"]
    content: Content = None
    file_ids: list[str] | None = None
    data_sources: list[SourceReference] | None = None
    thread_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _an_answer_asks_for_nothing(cls, message: Any) -> Any:
        """Clients send whole answers back as history; what was fetched for them is no wish to fetch it again."""
        if isinstance(message, dict) and message.get("role") == "assistant":
            return {key: value for key, value in message.items() if key not in ("file_ids", "data_sources")}
        return message

    def turn(self) -> Turn:
        role = "system" if self.role == "developer" else self.role
        if not isinstance(self.content, list):
            return Turn(role, self.content or "")
        if all(isinstance(part, TextPart) for part in self.content):
            return Turn(role, "\n".join(part.text for part in self.content if isinstance(part, TextPart)))
        return Turn(role, [part.model_dump(exclude_none=True) for part in self.content])


class StreamOptions(BaseModel):
    include_usage: bool | None = None


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


class ChatBody(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": "deepanalyze-profiler",
                "messages": [
                    {
                        "role": "user",
                        "content": "Which carrier has the longest departure delays?",
                        "data_sources": [{"source_id": "flights", "table": "flights", "max_rows": 400000}],
                    }
                ],
                "stream": True,
            }
        }
    )

    model: str = Field(min_length=1)
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(
        default=None, ge=1, description="what the model may write in the whole answer, over all its rounds"
    )
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    stop: Annotated[list[str] | None, BeforeValidator(_as_list, json_schema_input_type=str | list[str])] = (
        Field(default=None, max_length=16)
    )
    seed: int | None = None
    n: Literal[1] | None = Field(default=None, description="only 1: an analysis has one answer")
    user: str | None = Field(default=None, description="only recorded; it gives no rights")
    file_ids: list[str] | None = Field(default=None, description="uploaded files to analyse")
    data_sources: list[SourceReference] | None = Field(default=None, description="data to fetch and analyse")
    thread_id: str | None = Field(default=None, description="the thread to go on with")
    background: bool | None = Field(default=None, description="goes on when the connection closes")

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def analysis(self, principal: Principal, request_id: str) -> AnalysisRequest:
        if self.messages[-1].role != "user":
            raise InvalidRequest("the last message must be a user's", param=self._last("role"))
        return AnalysisRequest(
            principal=principal,
            model=self.model,
            turns=[message.turn() for message in self.messages],
            references=list(self._references()),
            files=list(self._files()),
            thread_id=self._thread(),
            options=self._options(),
            background=bool(self.background),
            request_id=request_id,
        )

    def _places(self) -> Iterator[tuple[str, ChatMessage | ChatBody]]:
        yield from ((f"messages[{index}].", message) for index, message in enumerate(self.messages))
        yield "", self

    def _references(self) -> Iterator[PlacedReference]:
        for place, holder in self._places():
            for index, wanted in enumerate(holder.data_sources or ()):
                yield PlacedReference(f"{place}data_sources[{index}]", wanted.reference(wanted.source_id))

    def _files(self) -> Iterator[PlacedFile]:
        for place, holder in self._places():
            for index, file_id in enumerate(holder.file_ids or ()):
                yield PlacedFile(f"{place}file_ids[{index}]", file_id)

    def _thread(self) -> str | None:
        """Of the last message or of the body; a history holds those of earlier answers, which do not count."""
        in_message, in_body = self.messages[-1].thread_id, self.thread_id
        if in_message and in_body and in_message != in_body:
            raise InvalidRequest("two different threads are named", param=self._last("thread_id"))
        return in_message or in_body

    def _last(self, field: str) -> str:
        return f"messages[{len(self.messages) - 1}].{field}"

    def _options(self) -> SamplingOptions:
        penalties = {"presence_penalty": self.presence_penalty, "frequency_penalty": self.frequency_penalty}
        return SamplingOptions(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            stop=tuple(self.stop or ()),
            seed=self.seed,
            extra={name: value for name, value in penalties.items() if value is not None},
        )
