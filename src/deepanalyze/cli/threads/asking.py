"""What the commands ask the API."""

from __future__ import annotations

from typing import Any

from deepanalyze.cli.administering import below, confirm, moment, print_json
from deepanalyze.cli.sources.asking import Asker
from deepanalyze.cli.sources.display import Display

THREADS = "/v1/threads"


async def show_all(asker: Asker, *, json: bool) -> None:
    threads = [thread async for thread in asker.items(THREADS)]
    if json:
        print_json(threads)
        return
    Display().table(
        ("id", "status", "last used", "expires", "files"),
        [
            (
                thread["id"],
                thread["status"],
                moment(thread["last_accessed_at"]),
                moment(thread["expires_at"]),
                len(thread["files"]),
            )
            for thread in threads
        ],
        none="You have no threads.",
    )


async def show_stats(asker: Asker, *, json: bool) -> None:
    stats = await asker.get("/v1/admin/threads-stats")
    if json:
        print_json(stats)
        return
    names = ("total_threads", "recent_threads", "old_threads", "expired_threads", "workspace_bytes")
    Display().table(
        tuple(name.removesuffix("_threads").replace("_", " ") for name in names),
        [tuple(stats[name] for name in names)],
        none="",
    )


async def clean_up(asker: Asker, hours: float | None, *, yes: bool, json: bool) -> None:
    unused = "their time to live" if hours is None else f"{hours:g} hours"
    confirm(f"Remove all users' threads that were not used for {unused}?", yes=yes)
    params: dict[str, Any] = {} if hours is None else {"timeout_hours": hours}
    answer = await asker.post("/v1/admin/cleanup-threads", None, **params)
    if json:
        print_json(answer)
    else:
        print(f"{answer['cleaned_threads']:,} threads removed.")


async def remove_thread(asker: Asker, id: str, *, yes: bool, json: bool) -> None:
    thread = await asker.get(below(THREADS, id))
    confirm(f"Remove the thread {thread['id']} with {len(thread['files'])} files?", yes=yes)
    answer = await asker.delete(below(THREADS, thread["id"]))
    if json:
        print_json(answer)
    else:
        print(f"{thread['id']} is removed.")
