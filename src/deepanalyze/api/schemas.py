"""The shapes of the answers, for the OpenAPI document and checked on the way out."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from deepanalyze.api.errors import STATUS

T = TypeVar("T")


class ErrorObject(BaseModel):
    message: str = Field(description="for people: what failed, on what, and what to do")
    type: str
    code: str = Field(description="stable; " + ", ".join(f"`{code}`" for code in STATUS))
    param: str | None = Field(description="the path of the field at fault")
    request_id: str
    details: list[dict[str, Any]] = Field(description="one entry for each failing field or source")


class ErrorAnswer(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "error": {
                    "message": "there is no data source 'sales'",
                    "type": "not_found_error",
                    "code": "not_found",
                    "param": "source_id",
                    "request_id": "req-0f5c4d2e9b3a4c1d8e7f6a5b4c3d2e1f",
                    "details": [],
                }
            }
        }
    )

    error: ErrorObject


class Page(BaseModel, Generic[T]):
    object: Literal["list"] = "list"
    data: list[T]
    has_more: bool
    next_cursor: str | None = Field(description="for `cursor` of the next request; null on the last page")


class Live(BaseModel):
    status: Literal["healthy"]
    timestamp: int


class Ready(BaseModel):
    status: Literal["ready", "not_ready"]
    timestamp: int
    checks: dict[str, dict[str, Any]] = Field(
        description="by part: `status` (`ok`, `degraded` or `error`), `latency_ms` and what is worth knowing of it"
    )


class Model(BaseModel):
    id: str = Field(examples=["deepanalyze-profiler"])
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    context_tokens: int | None = Field(
        default=None, description="length of its context, as configured or as its server tells"
    )
    protocol: Literal["deepanalyze", "chat"] | None = None
    images: bool = Field(default=False, description="whether it takes `image_url` parts")
    reachable: bool | None = Field(
        default=None, description="whether its server answered when it was last asked what it offers"
    )
    listed: bool | None = Field(
        default=None, description="whether its server lists it; null where that is not known"
    )


class File(BaseModel):
    id: str = Field(examples=["file-0f5c4d2e9b3a4c1d8e7f6a5b"])
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"


class FileDeleted(BaseModel):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class DataSource(BaseModel):
    id: str = Field(examples=["ds-0f5c4d2e9b3a4c1d8e7f6a5b"])
    object: Literal["data_source"] = "data_source"
    type: str = Field(examples=["postgresql"])
    name: str = Field(examples=["sales"])
    config: dict[str, Any] = Field(description="secrets are replaced by `********`")
    metadata: dict[str, Any]
    read_only: bool
    created_at: int
    updated_at: int
    created_by: str | None
    shared: bool
    origin: Literal["api", "config"]
    status: Literal["untested", "ok", "error"]
    last_tested_at: int | None


class DataSourceDeleted(BaseModel):
    id: str
    object: Literal["data_source"] = "data_source"
    deleted: Literal[True] = True


class ValidationProblem(BaseModel):
    param: str | None
    message: str
    hint: str | None = Field(description="what the field is for")


class Validation(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "valid": False,
                "errors": [
                    {
                        "param": "config.hst",
                        "message": "is not a parameter; did you mean 'host'?",
                        "hint": None,
                    }
                ],
                "missing": ["database", "user"],
                "next": "config.hst is not a parameter; did you mean 'host'?",
            }
        }
    )

    valid: bool
    errors: list[ValidationProblem]
    missing: list[str] = Field(description="required parameters of the config that are not there yet")
    next: str = Field(description="what to do or fill in next, as one sentence")


class Item(BaseModel):
    name: str
    path: str = Field(description="what `path` or `table` of a reference takes")
    kind: str = Field(description="`folder`, `blob`, `schema`, `table`, `view`, …")
    size: int | None
    modified_at: int | None
    metadata: dict[str, Any]


class Template(BaseModel):
    type: str
    title: str
    description: str
    # `schema` is the contract's name for it; pydantic keeps that one for itself
    config_schema: dict[str, Any] = Field(alias="schema", description="JSON Schema of `config`")
    examples: list[dict[str, Any]]
    sample_queries: list[dict[str, str]]
    path_patterns: list[dict[str, str]]


class FetchedData(BaseModel):
    source_id: str
    name: str = Field(description="of the source")
    type: str = Field(description="of the source")
    file: str = Field(description="in the thread's workspace")
    rows: int | None
    bytes: int
    truncated: bool = Field(description="whether the source has more rows than were fetched")
    elapsed_ms: int
    path: str | None = Field(
        default=None, description="in the source, by which the file is found there again"
    )
    version: str | None = Field(default=None, description="of a blob's older version or snapshot")
    etag: str | None = None
    content_encoding: str | None = Field(
        default=None, description="how the file's bytes are compressed, as `gzip`"
    )


class Fetched(BaseModel):
    thread_id: str
    files: list[FetchedData]


class ThreadFile(BaseModel):
    name: str
    url: str = Field(description="signed; needs no API key until it expires")
    size: int
    mime_type: str
    modified_at: int | None = None


class AnswerMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str = Field(
        description="`<Analyze>`, `<Understand>`, `<Code>`, `<Execute>`, `<File>`, `<Answer>` blocks"
    )
    thread_id: str = Field(description="to go on with, in the next request's last message")
    files: list[ThreadFile] = Field(description="what the analysis made")
    data_sources: list[FetchedData] = Field(description="what was fetched for it")


class Choice(BaseModel):
    index: int
    message: AnswerMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length"]


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(BaseModel):
    id: str = Field(examples=["chatcmpl-0f5c4d2e9b3a4c1d8e7f6a5b"])
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    generated_files: list[ThreadFile]
    attached_files: list[str] = Field(description="ids of the uploaded files that were given")


class Thread(BaseModel):
    id: str = Field(examples=["thread-0f5c4d2e9b3a4c1d8e7f6a5b"])
    object: Literal["thread"] = "thread"
    created_at: int
    last_accessed_at: int
    expires_at: int
    status: str = Field(description="`idle`, `queued` or `running`")
    files: list[ThreadFile]


class ThreadDeleted(BaseModel):
    id: str
    object: Literal["thread"] = "thread"
    deleted: Literal[True] = True


class ThreadCancelled(BaseModel):
    id: str
    object: Literal["thread"] = "thread"
    cancelled: bool = Field(description="whether an analysis was there to stop")


class Message(BaseModel):
    object: Literal["thread.message"] = "thread.message"
    seq: int
    role: str
    content: Any
    created_at: int
    analysis_id: str | None


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=`: the errors of a route, besides those that any route may answer."""
    return {
        status: {"model": ErrorAnswer, "description": _MEANING[status]}
        for status in sorted({401, 413, 422, 429, 500, 503, *statuses})
    }


_MEANING = {
    400: "The source refused the request",
    401: "The API key is missing or wrong",
    403: "Not allowed for this user",
    404: "There is no such thing, or not for this user",
    409: "The name or id is taken, or the work was cancelled",
    412: "It was changed meanwhile",
    413: "Too large",
    416: "The file has no such bytes",
    422: "The body or a parameter is not valid",
    424: "The data source cannot be reached, or refuses our credentials",
    429: "Too many requests",
    500: "A defect in DeepAnalyze",
    502: "The model server cannot be reached or fails",
    503: "Busy, or code cannot be isolated here",
    504: "A query was stopped at its time limit",
}
