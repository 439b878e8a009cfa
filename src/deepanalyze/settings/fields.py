"""The settings themselves: names, types, ranges, defaults and what they mean."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import platformdirs
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from deepanalyze.settings.fallbacks import wrong_fallbacks
from deepanalyze.settings.values import (
    AbsolutePath,
    ClientNetworks,
    Directories,
    Headers,
    Host,
    HostPatterns,
    HttpUrl,
    Networks,
    Origins,
    Seconds,
)

ENV_PREFIX = "DEEPANALYZE_"
# Of the commands that ask a running server; not settings of a server, but nothing unknown either.
CLIENT_VARIABLES: Mapping[str, str] = {
    "DEEPANALYZE_SERVER": "the URL of the server that commands such as `deepanalyze sources` ask, unless "
    "`--data-dir` or `--config` is given; without it they open the data directory themselves, or ask the running "
    "server that holds it",
    "DEEPANALYZE_URL": "the same, where DEEPANALYZE_SERVER is not set",
    "DEEPANALYZE_API_KEY": "the API key that they show that server",
    "DEEPANALYZE_API_KEY_FILE": "the file that holds it, where DEEPANALYZE_API_KEY is not set",
}
MIN_CONFIGURED_KEY_LENGTH = 16
GIB = 1024**3
_ORDERED = (
    ("max_result_rows", "max_result_rows_ceiling"),
    ("query_timeout_s", "query_timeout_ceiling_s"),
    ("retry_base_delay_s", "retry_max_delay_s"),
    ("pool_min_size", "pool_max_size"),
)


def memory_bytes() -> int:
    """What this machine, or the container around this process, can give."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(limit).read_text()))
        except (OSError, ValueError):  # not in a cgroup, or "max"
            continue
    return total


def _kernels_that_fit() -> int:
    return max(1, memory_bytes() // (2 * GIB))


class ModelConfig(BaseModel):
    """One OpenAI-compatible model server, or one model of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    id: str = Field(default="", description="the model's id; empty: every model that the server lists")
    base_url: HttpUrl = Field(description="where its API begins, such as `http://127.0.0.1:8000/v1`")
    api_key: SecretStr | None = Field(default=None, description="its key, if it wants one")
    protocol: Literal["deepanalyze", "chat"] | None = Field(
        default=None,
        description="`deepanalyze` for DeepAnalyze-8B, `chat` for any other; unset: told from the id",
    )
    context_tokens: int | None = Field(
        default=None, gt=0, description="length of its context; unset: what its server tells, if it does"
    )
    temperature: float | None = Field(default=None, ge=0, le=2, description="used where a request sets none")
    input_price: float | None = Field(
        default=None,
        ge=0,
        description="of a million tokens that it reads, in any currency; for `max_analysis_cost`",
    )
    output_price: float | None = Field(
        default=None, ge=0, description="of a million tokens that it writes, in the same currency"
    )
    images: bool | None = Field(
        default=None,
        description="whether it takes images (`image_url`), unset: with the protocol `chat`; a request with images to "
        "a model that takes none is refused",
    )
    fallback: tuple[str, ...] = Field(
        default=(),
        description="ids of the models that are asked instead, in this order, when its server cannot be reached or "
        "fails before the first text; each is followed by its own",
    )
    headers: Headers = Field(
        default_factory=dict,
        description="further HTTP headers of every request to its server; their values are secrets",
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="further fields of every request to this model"
    )
    timeout_s: Seconds = Field(
        default=600,
        description="longest wait for the next piece of an answer; what only keeps the connection alive does not count",
    )

    def secrets(self) -> Iterator[str]:
        """In the clear; of `Bearer abc` also `abc`, which may turn up alone."""
        for value in filter(None, (self.api_key, *self.headers.values())):
            text = value.get_secret_value()
            yield text
            yield from text.split()[1:]


class Settings(BaseSettings):
    """Built by `load_settings`; made directly, it reads neither environment nor file."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, protected_namespaces=()
    )

    data_dir: AbsolutePath = Field(
        default_factory=lambda: platformdirs.user_data_path("deepanalyze"),
        description="state: store, workspaces, uploaded files, key file; "
        "one server process holds it at a time",
        json_schema_extra={"shown": "the user's data directory"},
    )
    host: Host = Field(default="127.0.0.1", description="the address that the API listens on")
    port: int = Field(
        default=8200, ge=0, le=65535, description="the port that the API listens on; 0 takes a free one"
    )
    public_url: HttpUrl | None = Field(
        default=None,
        description="how others see the API, for the URLs in its answers",
        json_schema_extra={"shown": "derived from host and port"},
    )
    allowed_hosts: HostPatterns = Field(
        default=(),
        description="names by which clients may ask for the server (their Host header), comma-separated; "
        "`*.example.org` stands for all below it, `*` for any; an IP address may always be asked for",
        json_schema_extra={"shown": "`localhost`, the machine's name, `host` and `public_url`"},
    )
    cors_origins: Origins = Field(
        default=(),
        description="origins whose pages may call the API from a browser, comma-separated, as `https://app.example.org`",
    )
    allowed_client_networks: ClientNetworks = Field(
        default=(),
        description="networks (CIDR) that clients may call from, comma-separated",
        json_schema_extra={"shown": "any"},
    )
    trusted_proxies: ClientNetworks = Field(
        default=(),
        description="networks (CIDR) of the reverse proxies whose X-Forwarded-For is believed, comma-separated",
    )
    encryption_key: SecretStr | None = Field(
        default=None,
        description="Fernet keys, comma-separated: the first encrypts, all decrypt; "
        "a key that does not fit the stored credentials stops the start",
        json_schema_extra={"shown": "made once in the data directory, mode 0600"},
    )
    admin_api_key: SecretStr | None = Field(
        default=None,
        description=f"the first admin key, at least {MIN_CONFIGURED_KEY_LENGTH} characters",
        json_schema_extra={"shown": "made and printed once at the first start"},
    )
    model_base_url: HttpUrl | None = Field(
        default=None,
        description="one OpenAI-compatible model server; several go into the file as `[[models]]`",
    )
    model_api_key: SecretStr | None = Field(default=None, description="the key for `model_base_url`")
    model: str | None = Field(
        default=None,
        min_length=1,
        description="the model's id at `model_base_url`; without it every model that the server lists",
    )
    models: tuple[ModelConfig, ...] = Field(
        default=(), description="further models; in the environment a JSON list"
    )
    sandbox: Literal["auto", "bubblewrap", "landlock", "none"] = Field(
        default="auto",
        description="what isolates generated code: `auto` takes bubblewrap, else landlock, "
        "else refuses to run code; `none` runs it without isolation",
    )
    kernel_python: AbsolutePath | None = Field(
        default=None,
        description="interpreter of the kernels, for a separate analysis environment",
        json_schema_extra={"shown": "the server's own environment"},
    )
    max_file_bytes: int = Field(
        default=100 * 1024**2, gt=0, description="one fetched or uploaded file; over it: `file_too_large`"
    )
    max_fetch_bytes: int = Field(
        default=2 * GIB,
        gt=0,
        description="all files that one path of a source stands for, as a folder or `sales/*.csv`; over it: "
        "`file_too_large`",
    )
    max_fetch_files: int = Field(
        default=10_000, gt=0, le=1_000_000, description="how many files one path of a source may stand for"
    )
    max_result_rows: int = Field(
        default=10_000,
        gt=0,
        description="rows of one query or table; more are cut and the result is flagged `truncated`",
    )
    max_result_rows_ceiling: int = Field(
        default=5_000_000, gt=0, description="how far a request's or source's `max_rows` may go up"
    )
    max_result_bytes: int = Field(
        default=GIB, gt=0, description="bytes of one result; over it: `result_too_large`"
    )
    connect_timeout_s: Seconds = Field(
        default=10, description="connecting to a source; a source's config may say otherwise"
    )
    query_timeout_s: Seconds = Field(
        default=30, description="one query; a source's config may say otherwise, up to the ceiling"
    )
    query_timeout_ceiling_s: Seconds = Field(default=600, description="the longest that any query may take")
    retry_max_attempts: int = Field(
        default=3, ge=1, le=20, description="attempts at what fails for a transient reason; 1: no retry"
    )
    retry_base_delay_s: Seconds = Field(
        default=0.2, description="first pause of the exponential backoff (with jitter)"
    )
    retry_max_delay_s: Seconds = Field(default=5, description="longest pause between attempts")
    pool_min_size: int = Field(default=2, ge=0, description="connections kept open for each source in use")
    pool_max_size: int = Field(default=10, ge=1, description="most connections to one source")
    pool_idle_timeout_s: Seconds = Field(
        default=5 * 60, description="an idle connection above the minimum is closed after this"
    )
    pool_max_lifetime_s: Seconds = Field(default=60 * 60, description="a connection is replaced after this")
    metadata_ttl_s: float = Field(
        default=300, ge=0, le=10**9, description="life of the discovery cache; 0 turns it off"
    )
    preview_rows: int = Field(
        default=10, ge=1, le=1000, description="rows of a preview where the request names no `limit`"
    )
    allowed_networks: Networks = Field(
        default=(),
        description="networks (CIDR) and patterns of host names that sources may connect to, comma-separated; "
        "link-local and cloud metadata addresses never",
        json_schema_extra={"shown": "any"},
    )
    local_roots: Directories = Field(
        default=(),
        description="directories below which `local_file` sources may be rooted, separated by commas or colons",
        json_schema_extra={"shown": "none, so that there can be no such source"},
    )
    analysts_may_create: bool = Field(
        default=True, description="analysts may add private sources with explicit credentials"
    )
    auth_failures_per_minute: int = Field(
        default=20,
        ge=1,
        le=10**6,
        description="wrong API keys a minute from one address; over it: `rate_limited`, but for keys accepted lately",
    )
    thread_ttl_hours: float = Field(
        default=12, gt=0, le=10**6, description="a thread is deleted this long after its last use"
    )
    cleanup_interval_minutes: float = Field(
        default=30, gt=0, le=10**6, description="how often expired threads are looked for"
    )
    code_timeout_s: Seconds = Field(default=120, description="one block of generated code")
    kernel_memory_mb: int = Field(default=2048, ge=256, description="memory of one kernel, in MiB")
    max_kernels: int = Field(
        default_factory=_kernels_that_fit,
        ge=1,
        description="kernels at the same time; the least recently used idle one makes room",
        json_schema_extra={"shown": "memory / 2 GiB, at least 1"},
    )
    kernel_idle_s: Seconds = Field(default=10 * 60, description="an idle kernel is closed after this")
    kernel_queue_s: Seconds = Field(
        default=30, description="longest wait for a free kernel; after it: `busy`"
    )
    max_rounds: int = Field(default=30, ge=1, description="model calls in one analysis")
    max_analysis_s: Seconds = Field(default=60 * 60, description="wall time of one analysis")
    max_analysis_tokens: int = Field(
        default=2_000_000,
        ge=0,
        description="tokens that the model reads and writes in one analysis, over all its calls; 0: no limit",
    )
    max_analysis_cost: float = Field(
        default=0,
        ge=0,
        description="what one analysis may cost, in the currency of the models' `input_price` and `output_price`; "
        "0: no limit",
    )
    requests_per_minute: int = Field(
        default=1200,
        ge=0,
        le=10**6,
        description="requests of one analyst in a minute, also through signed links; over it: `rate_limited`; 0: no "
        "limit",
    )
    max_analyses: int = Field(
        default_factory=lambda: max(4, 2 * _kernels_that_fit()),
        ge=1,
        description="analyses that run at the same time; others wait, and their users are served in turn",
        json_schema_extra={"shown": "memory / 1 GiB, at least 4"},
    )
    max_analyses_per_user: int = Field(
        default=4, ge=1, description="analyses of one user that run at the same time"
    )
    max_queued_analyses: int = Field(
        default=100, ge=0, description="further analyses of one user that wait; over it: `rate_limited`"
    )
    max_threads_per_user: int = Field(
        default=10_000, ge=0, description="threads of one user; over it: `quota_exceeded`; 0: no limit"
    )
    max_workspace_bytes_per_user: int = Field(
        default=20 * GIB,
        ge=0,
        description="threads' files and uploaded files of one user together; over it: `quota_exceeded`; 0: no limit",
    )
    metrics_open: bool = Field(
        default=False, description="whether `/metrics` needs no key; otherwise it needs an administrator's"
    )
    url_ttl_s: int = Field(
        default=60 * 60, gt=0, le=10**9, description="life of a signed file URL, in seconds"
    )
    audit_statements: Literal["fingerprint", "full", "none"] = Field(
        default="fingerprint",
        description="what the audit trail keeps of SQL: a fingerprint without its constants, the text, or nothing",
    )
    audit_retention_days: float = Field(
        default=0, ge=0, le=10**6, description="older records of the audit trail are removed; 0 keeps all"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least severe records that are logged"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto` is `console` at a terminal and `json` elsewhere"
    )

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _config_file: Path | None = PrivateAttr(default=None)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # `load_settings` reads the layers itself, because it tells where each value came from
        return (init_settings,)

    @field_validator("admin_api_key")
    @classmethod
    def _long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < MIN_CONFIGURED_KEY_LENGTH:
            raise ValueError(f"must have at least {MIN_CONFIGURED_KEY_LENGTH} characters")
        return key

    @field_validator("models")
    @classmethod
    def _with_known_fallbacks(
        cls, models: tuple[ModelConfig, ...], info: ValidationInfo
    ) -> tuple[ModelConfig, ...]:
        chains = {model.id: model.fallback for model in reversed(models)}
        if wrong := wrong_fallbacks({**chains, **dict.fromkeys(filter(None, [info.data.get("model")]), ())}):
            raise ValueError("; ".join(wrong))
        return models

    @field_validator("kernel_python")
    @classmethod
    def _executable(cls, path: Path | None) -> Path | None:
        if path is not None and not (path.is_file() and os.access(path, os.X_OK)):
            raise ValueError("must be an executable file")
        return path

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for lower, upper in _ORDERED:
            low, high = getattr(self, lower), getattr(self, upper)
            if low > high and lower in self.model_fields_set:
                raise ValueError(f"{lower} ({low}) must not exceed {upper} ({high})")
            if low > high:
                object.__setattr__(self, lower, high)  # a default gives way to the bound that was asked for
        if self.model_base_url is None and (self.model or self.model_api_key):
            raise ValueError("model and model_api_key need model_base_url")
        return self

    @property
    def config_file(self) -> Path | None:
        """The file that was read, which may also declare data sources and users."""
        return self._config_file

    @property
    def configured_models(self) -> tuple[ModelConfig, ...]:
        """The server of `model_base_url` first, then `[[models]]`."""
        if self.model_base_url is None:
            return self.models
        first = ModelConfig(id=self.model or "", base_url=self.model_base_url, api_key=self.model_api_key)
        return (first, *self.models)

    def secrets(self) -> Iterator[str]:
        """In the clear."""
        keys = (
            self.encryption_key,
            self.admin_api_key,
            self.model_api_key,
        )
        yield from (key.get_secret_value() for key in keys if key is not None)
        yield from (secret for model in self.models for secret in model.secrets())

    def url(self, port: int | None = None) -> str:
        """Where clients find the API; `port` is the one that was taken when the setting is 0."""
        if self.public_url:
            return self.public_url
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        bracketed = f"[{host}]" if ":" in host else host
        return f"http://{bracketed}:{port or self.port}"
