"""`deepanalyze audit`: who did what, through the API."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from deepanalyze.cli.client import Asker, asks
from deepanalyze.cli.shown import Shown
from deepanalyze.errors import DeepAnalyzeError

audit = typer.Typer(
    name="audit",
    help="Read and verify the audit trail: of the server at --server, or else of the data directory itself, as its "
    "administrator.",
    no_args_is_help=True,
)

PATH = "/v1/admin/audit"
_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


class Outcome(StrEnum):
    OK = "ok"
    FAILED = "failed"
    REFUSED = "refused"


@audit.command("verify")
@asks
async def verify(
    asker: Asker,
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect",
            metavar="SEQUENCE:MAC",
            help="A record noted before, which must still be there.",
        ),
    ] = None,
) -> Shown:
    """Check that no record was changed or taken out; exits with 1 when one was."""
    found = await asker.post(f"{PATH}/verify", expect=expect)
    if not found["valid"]:
        broken = f"the audit trail is broken at record {found['first_broken']}: {found['reason']}"
        return Shown(found, error=DeepAnalyzeError(broken))

    def show() -> None:
        pruned = f" (those up to {found['pruned_through']} were pruned)" if found["pruned_through"] else ""
        print(f"The audit trail is whole: {found['records']} records{pruned}.")
        print(f"Newest, for --expect: {found['head_sequence']}:{found['head_mac']}")

    return Shown(found, show)


@audit.command("list")
@asks
async def list_records(
    asker: Asker,
    user: Annotated[str | None, typer.Option("--user", help="Only of this user, by id or name.")] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Only of this source, by id or name.")
    ] = None,
    object: Annotated[str | None, typer.Option("--object", help="Only what was done to this, by id.")] = None,
    action: Annotated[str | None, typer.Option("--action", help="Only these, such as `query`.")] = None,
    outcome: Annotated[Outcome | None, typer.Option("--outcome", help="Only what ended so.")] = None,
    since: Annotated[
        datetime | None, typer.Option("--since", formats=_TIMES, help="Only from this time (UTC) on.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", formats=_TIMES, help="Only before this time (UTC).")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Records at most.")] = 100,
) -> Shown:
    """List who did what, newest first."""
    wanted = {
        "user": user,
        "source": source,
        "object": object,
        "action": action,
        "outcome": outcome and outcome.value,
        "since": _seconds(since),
        "until": _seconds(until),
    }
    records: list[dict[str, Any]] = []
    async with aclosing(asker.items(PATH, **wanted)) as items:  # type: ignore[type-var]
        async for record in items:
            records.append(record)
            if len(records) == limit:
                break
    return Shown(records, lambda: _show(records))


def _show(records: list[dict[str, Any]]) -> None:
    from deepanalyze.cli.printing import moment, table

    table(
        ("record", "time", "user", "action", "object", "outcome", "code", "request"),
        [
            (
                record["sequence"],
                moment(record["created_at"], form="%Y-%m-%d %H:%M:%S"),
                *(record[name] or "" for name in ("user_id", "action")),
                _objects(record),
                *(record[name] or "" for name in ("outcome", "code", "request_id")),
            )
            for record in records
        ],
        none="There are no records.",
    )


def _objects(record: dict[str, Any]) -> str:
    """Of a fetch or an upload the thread and the source."""
    ids = dict.fromkeys(filter(None, (record["object_id"], record["source_id"])))
    return " ".join(ids) or record["object_type"] or ""


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.replace(tzinfo=UTC).timestamp())
