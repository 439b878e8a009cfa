"""One analysis as a caller asks for it, after the API or the CLI has checked its form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from deepanalyze.accounts import Principal
from deepanalyze.analysis.conversation import SamplingOptions, Turn
from deepanalyze.datasources.references import DataReference


@dataclass(frozen=True, slots=True)
class PlacedReference:
    """A data reference and where the request has it (`messages[0].data_sources[1]`)."""

    param: str
    reference: DataReference


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """An uploaded file and where the request names it (`messages[0].file_ids[0]`)."""

    param: str
    file_id: str


@dataclass(frozen=True, slots=True)
class AnalysisRequest:
    """`thread_id` None makes a thread that is kept, so that the answer's files can be had; its kernel is closed."""

    principal: Principal
    model: str
    turns: Sequence[Turn]
    references: Sequence[PlacedReference] = ()
    files: Sequence[PlacedFile] = ()
    thread_id: str | None = None
    options: SamplingOptions = field(default_factory=SamplingOptions)
    background: bool = False
    request_id: str = ""
