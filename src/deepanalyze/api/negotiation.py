"""Which of the forms that a route can answer in its client wants, as its `Accept` header says."""

from __future__ import annotations

from collections.abc import Sequence

from deepanalyze.errors import InvalidRequest

_ANYTHING = ("*/*", 1.0)


def chosen(accept: str | None, offered: Sequence[str]) -> str:
    """The one with the highest q-value. Of equals the one that is named most exactly, then first; where the client
    leaves the choice, the first that is offered. Raises InvalidRequest when none will do.
    """
    ranges = [_parsed(part) for part in (accept or "").split(",") if part.strip()] or [_ANYTHING]
    ranked = [
        ((quality, exactness, -place, -order), media_type)
        for order, media_type in enumerate(offered)
        for quality, exactness, place in [_fit(media_type, ranges)]
        if quality > 0
    ]
    if not ranked:
        raise InvalidRequest(f"Accept has to admit one of {', '.join(offered)}", param="Accept")
    return max(ranked)[1]


def _fit(media_type: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int, int]:
    """The q-value that the most exact range gives, how exact that is, and where it stands."""
    kind = media_type.partition("/")[0]
    for exactness, wanted in ((2, media_type), (1, f"{kind}/*"), (0, "*/*")):
        for place, (name, quality) in enumerate(ranges):
            if name == wanted:
                return quality, exactness, place
    return 0.0, 0, 0


def _parsed(part: str) -> tuple[str, float]:
    """Parameters but `q` do not count, and what is no q-value is taken for 0."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            quality = _quality(value.strip())
    return name, quality


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0  # NaN is neither
