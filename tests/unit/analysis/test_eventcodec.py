from __future__ import annotations

import json
from dataclasses import replace

from deepanalyze.analysis.eventcodec import events_of, records_of
from deepanalyze.analysis.events import (
    Code,
    Event,
    Execute,
    Failed,
    Fetch,
    File,
    Finished,
    Numbered,
    Status,
    Text,
)
from deepanalyze.analysis.models.base import TokenUsage
from deepanalyze.datasources.base import Column
from deepanalyze.datasources.references import FetchedFile
from deepanalyze.errors import FetchFailed, QueryFailed, RateLimited
from deepanalyze.workspace import WorkspaceFile

FETCHED = FetchedFile(
    "a.csv",
    "ds-1",
    "pg",
    "postgresql",
    3,
    1,
    True,
    5,
    (Column("a", "text", "string"),),
    sql="SELECT $1, $2",
    params=("a", None),
    format="csv",
    started_at=1.5,
    snapshot_at=2.25,
    server_version="18.1",
)
FILE = WorkspaceFile("plot.png", 3, 1.5, "image/png")
EVENTS: list[Event] = [
    Status("queued", {"place": 1}),
    Fetch("messages[0].data_sources[0]", "pg", "done", 3, 1, None, (FETCHED,)),
    Text("a"),
    Text(""),
    Text("é😀"),
    Code(1, "print(1)"),
    Execute(1, "ok", "1", 5),
    Text("b"),
    File(FILE),
    Finished("stop", TokenUsage(1, 2), (FILE,), (FETCHED,)),
]


def stored(events: list[Numbered]) -> list[Numbered]:
    """As they come back out of the store's JSON."""
    records = [replace(r, data=json.loads(json.dumps(r.data))) for r in records_of("thread-1", events)]
    return [event for record in records for event in events_of(record)]


def test_events_come_back_as_they_were() -> None:
    numbered = [Numbered(n, "chatcmpl-1", event) for n, event in enumerate(EVENTS, start=7)]
    assert stored(numbered) == numbered


def test_a_run_of_text_is_one_record_with_the_number_of_its_last() -> None:
    of = ["a", "a", "b", "b", "a"]
    records = records_of("thread-1", [Numbered(n, who, Text(str(n))) for n, who in enumerate(of, start=1)])
    assert [(r.n, r.analysis_id, r.data["texts"]) for r in records] == [
        (2, "a", ["1", "2"]),
        (4, "b", ["3", "4"]),
        (5, "a", ["5"]),
    ]


def test_errors_come_back_as_what_they_were() -> None:
    cause = QueryFailed("no such column", details=[{"sqlstate": "42703"}])
    for error in (
        RateLimited("slow down", param="model", retry_after_s=2.5),
        FetchFailed([("messages[0].data_sources[0]", cause)]),
    ):
        [back] = stored([Numbered(1, "chatcmpl-1", Failed(error))])
        assert isinstance(back.event, Failed)
        told = back.event.error
        assert (told.code, told.message, told.param, told.details, told.retry_after_s) == (
            error.code,
            error.message,
            error.param,
            error.details,
            error.retry_after_s,
        )
    assert isinstance(told, QueryFailed)
