"""The composition root: builds every service, wires them together and closes them in reverse order.

The only place that makes services; everything else receives what it needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from deepanalyze.access import SourceAccess
from deepanalyze.accounts import AccountRepository, Accounts, FailedAttempts, RequestRate, Sessions
from deepanalyze.accounts.exposure import only_first_key
from deepanalyze.administration import Administration, connections
from deepanalyze.analysis.files import Files
from deepanalyze.analysis.jobs import Analyses
from deepanalyze.analysis.limits import JobLimits, LoopLimits
from deepanalyze.analysis.loop import Analyst
from deepanalyze.analysis.models.base import ModelCatalog
from deepanalyze.analysis.models.catalog import Catalog
from deepanalyze.analysis.profiler import Profiler
from deepanalyze.analysis.threads import Threads
from deepanalyze.audit import AuditTrail, Chain, HeadFile, acting, note
from deepanalyze.configured import AccountsOfFile, Configured
from deepanalyze.datadir import DataDir, open_data_dir
from deepanalyze.datasources import CredentialManager, DataSourceRegistry
from deepanalyze.datasources.limits import Limits, PoolLimits, RetryPolicy, SourceDefaults, Timeouts
from deepanalyze.datasources.policy import NetworkPolicy
from deepanalyze.datasources.rotation import Rotated, rotate_secrets
from deepanalyze.errors import ConfigurationError, StartupError
from deepanalyze.health import Health
from deepanalyze.logging import KnownSecrets, hidden_in_log
from deepanalyze.sandbox import KernelLimits, KernelPool, Sandbox, open_sandbox
from deepanalyze.settings import Settings
from deepanalyze.store import Store, open_store
from deepanalyze.telemetry import Telemetry
from deepanalyze.urls import UrlSigner
from deepanalyze.workspace import DiskUsage

log = structlog.get_logger()

_TRAIL_KEYS = {"row": "audit trail", "field": "earlier key"}  # what their ciphertexts are bound to


@dataclass(frozen=True, slots=True)
class Runtime:
    """Every service of a running server; satisfies `deepanalyze.api.services.Services`."""

    settings: Settings
    base_url: str
    accounts: Accounts
    attempts: FailedAttempts
    request_rate: RequestRate
    sessions: Sessions
    administration: Administration
    sources: SourceAccess
    files: Files
    threads: Threads
    analyses: Analyses
    models: ModelCatalog
    urls: UrlSigner
    health: Health
    audit: AuditTrail
    telemetry: Telemetry
    sandbox: Sandbox
    registry: DataSourceRegistry
    configured: Configured
    new_admin_key: str | None  # set when this start made one; shown once, stored nowhere


@asynccontextmanager
async def open_runtime(
    settings: Settings, *, base_url: str | None = None, beyond: str | None = None, first_key: bool = False
) -> AsyncIterator[Runtime]:
    """Opens everything. Raises StartupError (ConfigurationError for settings) when a part cannot be had.

    Args:
        base_url: how clients reach the server, where the port is only known after it was bound.
        beyond: the address that others can reach, when the server listens on more than this machine's own.
        first_key: whether an administrator's key is made where none works; who asks for it shows `new_admin_key`.
    """
    url = base_url or settings.url()
    async with AsyncExitStack() as stack:
        data_dir = stack.enter_context(open_data_dir(settings.data_dir))
        await asyncio.to_thread(_check_that_the_store_is_there, data_dir)
        store = await stack.enter_async_context(open_store(data_dir.store))
        credentials = await _credentials(settings, data_dir, store)
        secrets = KnownSecrets()
        # No source has such an id
        secrets.keep(
            "the settings", [*settings.secrets(), *(key.decode() for key in credentials.signing_secrets)]
        )
        stack.enter_context(hidden_in_log(secrets))
        audit = await stack.enter_async_context(await _trail(settings, data_dir, store, credentials))
        sandbox = await open_sandbox(
            settings.sandbox,
            limits=KernelLimits(memory_mb=settings.kernel_memory_mb),
            python=settings.kernel_python,
        )
        if sandbox.exposes(data_dir.root):
            raise ConfigurationError(
                f"data_dir {data_dir.root} lies where generated code may read, in the system's or the kernels' Python "
                "environment; choose a directory outside of both"
            )
        registry = await stack.enter_async_context(
            DataSourceRegistry(
                credentials,
                store.sources,
                defaults=dataclasses.replace(source_defaults(settings), tables=sandbox.tables),
                metadata_ttl_s=settings.metadata_ttl_s,
                secrets=secrets,
            )
        )
        await registry.load()
        users = AccountsOfFile(store.accounts)
        configured = Configured(settings.config_file, registry, users, audit)
        await configured.apply()
        if beyond is not None and settings.admin_api_key is None:
            await _check_that_a_key_was_chosen(users, beyond)
        accounts = Accounts(users)
        async with acting(audit):
            new_admin_key = await accounts.ensure_admin(_revealed(settings.admin_api_key), make_key=first_key)

        kernels = await stack.enter_async_context(
            KernelPool(
                sandbox,
                max_kernels=settings.max_kernels,
                idle_s=settings.kernel_idle_s,
                queue_s=settings.kernel_queue_s,
            )
        )
        usage = DiskUsage(settings.max_workspace_bytes_per_user)
        threads = Threads(
            store.threads,
            data_dir.threads,
            ttl_hours=settings.thread_ttl_hours,
            max_per_user=settings.max_threads_per_user,
            usage=usage,
        )
        files = Files(store.files, data_dir.files, max_bytes=settings.max_file_bytes, usage=usage)
        await files.take_stock()
        await threads.take_stock()

        sessions = Sessions()
        telemetry = Telemetry()
        sources = SourceAccess(
            registry,
            analysts_may_create=settings.analysts_may_create,
            telemetry=telemetry,
            secrets=secrets,
        )
        models = await stack.enter_async_context(
            Catalog(settings.configured_models, Profiler(), retries=source_defaults(settings).retries)
        )
        models.probe_soon()
        analyst = Analyst(models, sources, files, kernels, loop_limits(settings), telemetry)
        analyses = await stack.enter_async_context(
            Analyses(analyst, threads, store.threads, limits=job_limits(settings), telemetry=telemetry)
        )
        watch_states(telemetry, registry, kernels, analyses, usage)
        # After the analyses' own, which ends what uses the kernel
        threads.on_delete.append(kernels.close_thread)
        stack.push_async_callback(_end, asyncio.create_task(_expire_regularly(threads, audit, settings)))
        stack.push_async_callback(_end, asyncio.create_task(_keep_regularly(audit, settings)))
        yield Runtime(
            settings=settings,
            base_url=url,
            accounts=accounts,
            attempts=FailedAttempts(settings.auth_failures_per_minute),
            request_rate=RequestRate(settings.requests_per_minute),
            sessions=sessions,
            administration=Administration(accounts, sessions, registry, threads, files),
            sources=sources,
            files=files,
            threads=threads,
            analyses=analyses,
            models=models,
            urls=UrlSigner(_signing_key(credentials), url, settings.url_ttl_s),
            health=Health(_checks(store, sandbox, models)),
            audit=audit,
            telemetry=telemetry,
            sandbox=sandbox,
            registry=registry,
            configured=configured,
            new_admin_key=new_admin_key,
        )


def watch_states(
    telemetry: Telemetry,
    registry: DataSourceRegistry,
    kernels: KernelPool,
    analyses: Analyses,
    usage: DiskUsage,
) -> None:
    telemetry.watch(
        "deepanalyze_analysis_jobs", "Analyses: running, waiting, and how many may run", analyses.counts
    )
    telemetry.watch("deepanalyze_kernels", "Kernels of generated code", kernels.counts)
    telemetry.watch(
        "deepanalyze_source_connections",
        "Connections to data sources, of all sources together",
        partial(connections, registry),
    )
    telemetry.watch_one(
        "deepanalyze_workspace_bytes",
        "What threads and uploaded files take on the disk; code's own files count when its block has ended",
        usage.total,
    )


async def rotate_encryption_keys(settings: Settings) -> Rotated:
    """Raises StartupError when a server holds the data directory, or there is none."""
    if not DataDir(settings.data_dir).store.exists():
        raise StartupError(
            f"there is no store in the data directory {settings.data_dir}; name another with --data-dir"
        )
    with open_data_dir(settings.data_dir) as data_dir:
        async with open_store(data_dir.store) as store:
            credentials = await _credentials(settings, data_dir, store)
            async with await _trail(settings, data_dir, store, credentials) as audit, acting(audit):
                done = await rotate_secrets(store.sources, credentials)
                await audit.renew(partial(credentials.encrypt, **_TRAIL_KEYS))
                note("rotate", object_type="encryption_key", change=True, details=dataclasses.asdict(done))
            return done


async def _trail(
    settings: Settings, data_dir: DataDir, store: Store, credentials: CredentialManager
) -> AuditTrail:
    """Raises ConfigurationError when it was sealed with a key that is not there."""
    earlier = [bytes.fromhex(credentials.decrypt(key, **_TRAIL_KEYS)) for key in await store.audit.keys()]
    trail = AuditTrail(
        store.audit,
        Chain(credentials.signing_secrets, earlier),
        statements=settings.audit_statements,
        retention_days=settings.audit_retention_days,
        noted=HeadFile(data_dir.audit_head),
    )
    if not await trail.is_ours():
        raise credentials.unfit("the audit trail cannot be continued")
    return trail


async def _check_that_a_key_was_chosen(users: AccountRepository, address: str) -> None:
    """Before the first key is made, which would be lost with this start."""
    if await only_first_key(users):
        raise ConfigurationError(
            f"the server would listen on {address}, for other machines too, while its only API key is the one made and "
            "printed at the first start: set DEEPANALYZE_ADMIN_API_KEY (or _FILE), or declare [[users]] in the "
            "configuration file, or make another key first; or listen on 127.0.0.1"
        )


def _check_that_the_store_is_there(data_dir: DataDir) -> None:
    """Without its store everything in the data directory would pass for an orphan, and be removed."""
    if data_dir.store.exists() and data_dir.store.stat().st_size:
        return
    if any(data_dir.files.iterdir()) or any(data_dir.threads.iterdir()):
        raise StartupError(
            f"the store {data_dir.store} is missing or empty, but files and threads that it knew are still in "
            f"{data_dir.root}: put it back, or choose another data directory"
        )


def source_defaults(settings: Settings) -> SourceDefaults:
    return SourceDefaults(
        limits=Limits(
            max_file_bytes=settings.max_file_bytes,
            max_files=settings.max_fetch_files,
            max_fetch_bytes=settings.max_fetch_bytes,
            max_result_rows=settings.max_result_rows,
            max_result_rows_ceiling=settings.max_result_rows_ceiling,
            max_result_bytes=settings.max_result_bytes,
        ),
        timeouts=Timeouts(
            connect_s=settings.connect_timeout_s,
            query_s=settings.query_timeout_s,
            query_ceiling_s=settings.query_timeout_ceiling_s,
        ),
        retries=RetryPolicy(
            max_attempts=settings.retry_max_attempts,
            base_delay_s=settings.retry_base_delay_s,
            max_delay_s=settings.retry_max_delay_s,
        ),
        pool=PoolLimits(
            min_size=settings.pool_min_size,
            max_size=settings.pool_max_size,
            idle_timeout_s=settings.pool_idle_timeout_s,
            max_lifetime_s=settings.pool_max_lifetime_s,
        ),
        network=NetworkPolicy.of(settings.allowed_networks),
        local_roots=settings.local_roots,
        private_directories=(settings.data_dir,),
    )


def loop_limits(settings: Settings) -> LoopLimits:
    return LoopLimits(
        max_rounds=settings.max_rounds,
        max_analysis_s=settings.max_analysis_s,
        max_analysis_tokens=settings.max_analysis_tokens,
        max_analysis_cost=settings.max_analysis_cost,
        code_timeout_s=settings.code_timeout_s,
    )


def job_limits(settings: Settings) -> JobLimits:
    return JobLimits(
        max_running=settings.max_analyses,
        max_running_per_user=settings.max_analyses_per_user,
        max_queued_per_user=settings.max_queued_analyses,
    )


async def _credentials(settings: Settings, data_dir: DataDir, store: Store) -> CredentialManager:
    """A key is only made where nothing needs the one before: a lost key is told, never replaced by a fresh one."""
    if settings.encryption_key is not None:
        return CredentialManager(settings.encryption_key.get_secret_value())
    if not data_dir.key_file.exists() and await _needs_its_key(store):
        raise ConfigurationError(
            f"the key file {data_dir.key_file} is missing, and the store holds credentials or an audit trail that need "
            "it: put the file back, or set DEEPANALYZE_ENCRYPTION_KEY to the key"
        )
    return CredentialManager.from_key_file(data_dir.key_file)


async def _needs_its_key(store: Store) -> bool:
    sealed = await store.audit.mark("head") or await store.audit.after(0, 1) or await store.audit.keys()
    return bool(sealed) or any(source.secrets for source in await store.sources.list())


def _revealed(secret: Any) -> str | None:
    return None if secret is None else str(secret.get_secret_value())


def _signing_key(credentials: CredentialManager) -> bytes:
    return hmac.digest(credentials.signing_secret, b"deepanalyze signed file urls", hashlib.sha256)


def _checks(store: Store, sandbox: Sandbox, models: Catalog) -> Mapping[str, Any]:
    async def check_store() -> Mapping[str, Any]:
        if await store.ping():
            return {}
        return {"status": "degraded", "reason": "the disk is full: changes are refused, but for deletions"}

    async def check_sandbox() -> Mapping[str, Any]:
        isolation = sandbox.isolation
        return {
            "status": "degraded" if isolation.weaker or isolation.name == "none" else "ok",
            "isolation": isolation.name,
            "weaker": list(isolation.weaker),
            "remedy": isolation.remedy,
        }

    async def check_models() -> Mapping[str, Any]:
        offered = [model.id for model in await models.list()]
        problems = list(models.problems())
        return {
            "status": "degraded" if problems else "ok",
            "models": offered,
            "not_answering": list(models.silent_servers()),
            "problems": problems,
        }

    return {"store": check_store, "sandbox": check_sandbox, "models": check_models}


async def _expire_regularly(threads: Threads, audit: AuditTrail, settings: Settings) -> None:
    while True:
        try:
            async with acting(audit):
                if expired := await threads.expire():
                    log.info("threads expired", threads=len(expired))
        except Exception:
            log.exception("expired threads could not be removed; trying again later")
        await asyncio.sleep(settings.cleanup_interval_minutes * 60)


async def _keep_regularly(audit: AuditTrail, settings: Settings) -> None:
    while True:
        try:
            if pruned := await audit.prune():
                log.info("audit trail pruned", records=pruned)
            await audit.note_head()
        except Exception:
            log.exception("the audit trail could not be pruned; trying again later")
        await asyncio.sleep(settings.cleanup_interval_minutes * 60)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
