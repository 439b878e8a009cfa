"""Which models stand in for which: the order in which they are asked, and what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

PROFILER = "deepanalyze-profiler"  # the model that is always there


def fallback_chain(model_id: str, fallbacks: Mapping[str, Sequence[str]]) -> list[str]:
    """Who is asked instead of it: its fallbacks in order, each followed by its own."""
    chain: list[str] = []

    def add(names: Sequence[str]) -> None:
        for name in names:
            if name not in (model_id, *chain):
                chain.append(name)
                add(fallbacks.get(name, ()))

    add(fallbacks.get(model_id, ()))
    return chain


def wrong_fallbacks(fallbacks: Mapping[str, Sequence[str]]) -> list[str]:
    """
    Args:
        fallbacks: of every configured model; that of the id `""` is for all models which its server lists.
    """
    known = [*filter(None, fallbacks), PROFILER]
    wrong = [
        f"model {model_id!r} has the fallback {name!r}, and no [[models]] table has that id{_nearest(name, known)}"
        for model_id, names in fallbacks.items()
        for name in names
        if name not in known
    ]
    loops = {frozenset(loop): loop for model_id in fallbacks for loop in _loops((model_id,), fallbacks)}
    told = (" -> ".join(repr(name) for name in loop) for loop in loops.values())
    return [*wrong, *(f"the fallbacks {loop} lead in a circle; leave one of them out" for loop in told)]


def _loops(path: tuple[str, ...], fallbacks: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    for name in fallbacks.get(path[-1], ()):
        if name == path[0]:
            yield (*path, name)
        elif name not in path:
            yield from _loops((*path, name), fallbacks)


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
