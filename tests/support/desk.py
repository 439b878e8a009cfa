"""An analyst with everything real behind it, except for the model, whose server is scripted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from deepanalyze.access import SourceAccess
from deepanalyze.accounts import Grant, Principal, User
from deepanalyze.analysis.conversation import SamplingOptions, Turn
from deepanalyze.analysis.events import Event, Failed, Finished, Numbered, Text
from deepanalyze.analysis.files import Files
from deepanalyze.analysis.jobs import Analyses
from deepanalyze.analysis.limits import LoopLimits
from deepanalyze.analysis.loop import Analyst
from deepanalyze.analysis.models.catalog import Catalog
from deepanalyze.analysis.request import AnalysisRequest, PlacedFile, PlacedReference
from deepanalyze.analysis.threads import Threads
from deepanalyze.datasources import DataSourceRegistry
from deepanalyze.datasources.limits import RetryPolicy
from deepanalyze.datasources.references import DataReference
from deepanalyze.sandbox import KernelPool, Sandbox
from deepanalyze.settings import ModelConfig
from deepanalyze.store import Store, open_store
from deepanalyze.workspace import DiskUsage
from tests.support.canaries import canary
from tests.support.model_server import ModelServer

ADA = Principal(User("user-ada", "ada", "analyst", (Grant("*"),)))
BOB = Principal(User("user-bob", "bob", "analyst"))
MODEL = "DeepAnalyze-8B"
CHAT_MODEL = "some-chat-model"
QUICK_RETRIES = RetryPolicy(max_attempts=3, base_delay_s=0.001, max_delay_s=0.002)


def model_config(server: ModelServer, id: str = MODEL, **more: Any) -> ModelConfig:
    key = SecretStr(canary("model key"))
    return ModelConfig(**{"id": id, "base_url": server.base_url, "api_key": key, **more})


@dataclass
class Clock:
    """The time, as a test wants it."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Desk:
    server: ModelServer
    store: Store
    registry: DataSourceRegistry
    sources: SourceAccess
    files: Files
    threads: Threads
    kernels: KernelPool
    analyses: Analyses
    clock: Clock
    usage: DiskUsage

    def request(
        self,
        question: str | Sequence[Turn] = "Why?",
        *,
        references: Sequence[DataReference] = (),
        files: Sequence[str] = (),
        thread: str | None = None,
        model: str = MODEL,
        by: Principal = ADA,
        references_in: int | None = None,
        **more: Any,
    ) -> AnalysisRequest:
        turns = [Turn("user", question)] if isinstance(question, str) else list(question)
        last = len(turns) - 1
        place = last if references_in is None else references_in
        return AnalysisRequest(
            by,
            model,
            turns,
            [PlacedReference(f"messages[{place}].data_sources[{n}]", r) for n, r in enumerate(references)],
            [PlacedFile(f"messages[{last}].file_ids[{n}]", f) for n, f in enumerate(files)],
            thread,
            more.pop("options", SamplingOptions()),
            **more,
        )

    async def new_thread(self) -> str:
        return (await self.threads.create(ADA)).id

    async def ask(self, question: str | Sequence[Turn] = "Why?", **how: Any) -> Answer:
        """Starts an analysis and follows it to its end."""
        job = await self.analyses.start(self.request(question, **how))
        async with aclosing(job.events()) as events:
            return Answer(job.thread_id, [numbered async for numbered in events])


@dataclass
class Answer:
    thread_id: str
    numbered: list[Numbered]

    @property
    def events(self) -> list[Event]:
        return [numbered.event for numbered in self.numbered]

    @property
    def text(self) -> str:
        return "".join(e.text for e in self.events if isinstance(e, Text))

    def of(self, kind: type) -> list[Any]:
        return [e for e in self.events if isinstance(e, kind)]

    @property
    def finished(self) -> Finished:
        last = self.events[-1]
        if isinstance(last, Failed):
            raise last.error
        assert isinstance(last, Finished)
        return last

    @property
    def error(self) -> Any:
        last = self.events[-1]
        assert isinstance(last, Failed), last
        return last.error


@asynccontextmanager
async def open_desk(
    directory: Path,
    server: ModelServer,
    sandbox: Sandbox,
    *,
    limits: LoopLimits | None = None,
    models: Sequence[ModelConfig] | None = None,
) -> AsyncIterator[Desk]:
    """A second one on the same directory finds what the first one stored."""
    clock = Clock()
    configured = models or [model_config(server), model_config(server, CHAT_MODEL)]
    for name in ("files", "threads"):
        (directory / name).mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(directory / "store.sqlite"))
        registry = await stack.enter_async_context(DataSourceRegistry())
        kernels = await stack.enter_async_context(KernelPool(sandbox, max_kernels=3, idle_s=600, queue_s=30))
        usage = DiskUsage()
        threads = Threads(store.threads, directory / "threads", ttl_hours=12, usage=usage, clock=clock)
        threads.on_delete.append(kernels.close_thread)
        files = Files(store.files, directory / "files", max_bytes=1024**2)
        sources = SourceAccess(registry)
        catalog = await stack.enter_async_context(Catalog(configured, retries=QUICK_RETRIES))
        analyst = Analyst(catalog, sources, files, kernels, limits or LoopLimits())
        analyses = await stack.enter_async_context(Analyses(analyst, threads, store.threads, clock=clock))
        yield Desk(server, store, registry, sources, files, threads, kernels, analyses, clock, usage)
