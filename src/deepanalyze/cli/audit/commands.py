"""The commands, their arguments and options. They import what they need when they run."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from deepanalyze.cli.serve import ConfigFile
from deepanalyze.cli.sources.options import ApiKey, DataDir, Json, Url, run_command

if TYPE_CHECKING:
    from deepanalyze.cli.sources.asking import Asker

audit = typer.Typer(
    name="audit",
    help="Read and verify the audit trail: of the server at --url, or else of the data directory itself, as its "
    "administrator.",
    no_args_is_help=True,
)

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


class Outcome(StrEnum):
    OK = "ok"
    FAILED = "failed"
    REFUSED = "refused"


@audit.command("verify")
def verify(
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Check that no record was changed or taken out; exits with 1 when one was."""
    from deepanalyze.cli.audit.asking import verify_it

    async def work(asker: Asker) -> None:
        await verify_it(asker, json=json)

    run_command(work, url, api_key, config, data_dir)


@audit.command("list")
def list_records(
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
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """List who did what, newest first."""
    from deepanalyze.cli.audit.asking import list_them

    wanted = {
        "user": user,
        "source": source,
        "object": object,
        "action": action,
        "outcome": outcome and outcome.value,
        "since": _seconds(since),
        "until": _seconds(until),
    }

    async def work(asker: Asker) -> None:
        await list_them(asker, wanted, limit=limit, json=json)

    run_command(work, url, api_key, config, data_dir)


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.replace(tzinfo=UTC).timestamp())
