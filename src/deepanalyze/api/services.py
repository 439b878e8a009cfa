"""What the HTTP API needs of the runtime: one attribute for each service. `deepanalyze.runtime.Runtime` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from deepanalyze.access import SourceAccess
    from deepanalyze.accounts import Accounts, FailedAttempts, RequestRate, Sessions
    from deepanalyze.administration import Administration
    from deepanalyze.analysis.files import Files
    from deepanalyze.analysis.jobs import Analyses
    from deepanalyze.analysis.models.base import ModelCatalog
    from deepanalyze.analysis.threads import Threads
    from deepanalyze.audit import AuditTrail
    from deepanalyze.datasources import DataSourceRegistry
    from deepanalyze.health import Health
    from deepanalyze.settings import Settings
    from deepanalyze.telemetry import Telemetry
    from deepanalyze.urls import UrlSigner


class Services(Protocol):
    @property
    def settings(self) -> Settings: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def attempts(self) -> FailedAttempts: ...
    @property
    def request_rate(self) -> RequestRate: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def administration(self) -> Administration: ...
    @property
    def registry(self) -> DataSourceRegistry: ...
    @property
    def sources(self) -> SourceAccess: ...
    @property
    def files(self) -> Files: ...
    @property
    def threads(self) -> Threads: ...
    @property
    def analyses(self) -> Analyses: ...
    @property
    def models(self) -> ModelCatalog: ...
    @property
    def urls(self) -> UrlSigner: ...
    @property
    def audit(self) -> AuditTrail: ...
    @property
    def health(self) -> Health: ...
    @property
    def telemetry(self) -> Telemetry: ...
