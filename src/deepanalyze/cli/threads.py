"""`deepanalyze threads`: conversations with their workspaces."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deepanalyze.cli.client import Asker, asks, below
from deepanalyze.cli.options import Yes
from deepanalyze.cli.prompting import confirm
from deepanalyze.cli.shown import Shown, said

threads = typer.Typer(
    name="threads",
    help="List and remove your threads; count and clean up everybody's, as an administrator.",
    no_args_is_help=True,
)

THREADS = "/v1/threads"
_COUNTS = ("total_threads", "recent_threads", "old_threads", "expired_threads", "workspace_bytes")


@threads.command("list")
@asks
async def list_threads(asker: Asker) -> Shown:
    """List your own threads. Others' are theirs alone: of these, `stats` tells an administrator the number."""
    found = await asker.all(THREADS)
    return Shown(found, lambda: _show(found))


@threads.command("stats")
@asks
async def stats(asker: Asker) -> Shown:
    """Count the threads of all users, and what they take of the disk."""
    counted = await asker.get("/v1/admin/threads-stats")

    def show() -> None:
        from deepanalyze.cli.printing import table

        head = [name.removesuffix("_threads").replace("_", " ") for name in _COUNTS]
        table(head, [[counted[name] for name in _COUNTS]])

    return Shown(counted, show)


@threads.command("cleanup")
@asks
async def cleanup(
    asker: Asker,
    hours: Annotated[
        float | None,
        typer.Option(
            "--unused-hours",
            min=0,
            max=10**6,
            help="Remove what was not used for so long.",
            show_default="the server's thread_ttl_hours",
        ),
    ] = None,
    yes: Yes = False,
) -> Shown:
    """Remove threads of all users that were not used for some hours, with their files."""
    unused = "their time to live" if hours is None else f"{hours:g} hours"
    confirm(f"Remove all users' threads that were not used for {unused}?", yes=yes)
    params: dict[str, Any] = {} if hours is None else {"timeout_hours": hours}
    answer = await asker.post("/v1/admin/cleanup-threads", None, **params)
    return said(answer, f"{answer['cleaned_threads']:,} threads removed.")


@threads.command("remove")
@asks
async def remove(
    asker: Asker,
    id: Annotated[str, typer.Argument(help="The thread's id, as `list` shows it.", metavar="ID")],
    yes: Yes = False,
) -> Shown:
    """Remove one of your threads with its messages and files, and end what runs in it."""
    thread = await asker.get(below(THREADS, id))
    confirm(f"Remove the thread {thread['id']} with {len(thread['files'])} files?", yes=yes)
    return said(await asker.delete(below(THREADS, thread["id"])), f"{thread['id']} is removed.")


def _show(found: list[dict[str, Any]]) -> None:
    from deepanalyze.cli.printing import moment, table

    table(
        ("id", "status", "last used", "expires", "files"),
        [
            (
                thread["id"],
                thread["status"],
                moment(thread["last_accessed_at"]),
                moment(thread["expires_at"]),
                len(thread["files"]),
            )
            for thread in found
        ],
        none="You have no threads.",
    )
