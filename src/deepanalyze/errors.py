"""Every error that DeepAnalyze raises on purpose, in one tree.

DeepAnalyzeError                     code                          what a person should understand
├── InvalidRequest                   invalid_request               the body, a parameter or a config is malformed
│   └── RangeNotSatisfiable          range_not_satisfiable         the file has no such bytes
├── InvalidApiKey                    invalid_api_key               the API key is missing, wrong, expired or revoked
├── PermissionDenied                 permission_denied             this user may not do this
│   ├── ReadOnlyViolation            read_only_violation           the source, or the way to it, is read-only
│   └── HostNotAllowed               host_not_allowed              the network policy refuses that address
├── NotFound                         not_found                     no such source, thread, file or route
│   ├── BlobNotFound                 blob_not_found                no such blob, or the pattern matches none
│   ├── TableNotFound                table_not_found               no such table or view, or its role may not read it
│   └── ModelNotFound                model_not_found               this server offers no such model
├── MethodNotAllowed                 method_not_allowed            the route exists, the HTTP method does not
├── AlreadyExists                    already_exists                the name or id is taken
├── Stale                            stale                         changed by someone else meanwhile
├── RequestTooLarge                  request_too_large             the request's body is over its limit
├── FileTooLarge                     file_too_large                one file is over its limit
├── ResultTooLarge                   result_too_large              one query result is over its byte limit
├── QuotaExceeded                    quota_exceeded                a user's or thread's quota is used up
├── RateLimited                      rate_limited                  too many requests; `retry_after_s` says when
├── QueryTimeout                     query_timeout                 a query was stopped at its time limit
├── QueryTooCostly                   query_too_costly              the planner expects more than statement_cost_limit
├── QueryFailed                      query_failed                  the database refused the SQL; details hold its words
├── NotSupported                     not_supported                 the source's type cannot do this
├── SourceError                      (abstract)                    the data source itself is at fault
│   ├── SourceAuthenticationFailed   source_authentication_failed  it refuses our credentials
│   └── SourceUnavailable            source_unavailable            it cannot be reached, or dropped the connection
├── FetchFailed                      (the code of its first cause) one or more referenced sources could not be fetched
├── ModelUnavailable                 model_unavailable             the model server cannot be reached or fails
├── Busy                             busy                          no kernel or slot came free in time
├── SandboxUnavailable               sandbox_unavailable           code, or a file's reader, cannot be isolated here
├── Cancelled                        cancelled                     the caller or another request stopped it
├── StartupError                     startup_error                 the server cannot start; the CLI exits with 2
│   └── ConfigurationError           configuration_error           a setting is wrong
└── InternalError                    internal_error                a defect in DeepAnalyze; the log has the rest

Only `deepanalyze.api` knows which HTTP status belongs to a code. Messages are written for people: what failed, on
what, the limit, the remedy. They never hold a secret, a traceback or a path inside the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class DeepAnalyzeError(Exception):
    """Base of the tree.

    Args:
        message: for people; one or two sentences.
        param: the path of the request's field at fault, as `messages[0].data_sources[1].query`.
        details: one mapping per failing field or source.
        retry_after_s: seconds after which trying again makes sense, where that is known.
    """

    code: str = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        details: Sequence[Mapping[str, Any]] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.details: list[dict[str, Any]] = [dict(d) for d in details]
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return self.message


class InvalidRequest(DeepAnalyzeError):
    code = "invalid_request"


class RangeNotSatisfiable(InvalidRequest):
    code = "range_not_satisfiable"


class InvalidApiKey(DeepAnalyzeError):
    code = "invalid_api_key"


class PermissionDenied(DeepAnalyzeError):
    code = "permission_denied"


class ReadOnlyViolation(PermissionDenied):
    code = "read_only_violation"


class HostNotAllowed(PermissionDenied):
    code = "host_not_allowed"


class NotFound(DeepAnalyzeError):
    code = "not_found"


class BlobNotFound(NotFound):
    code = "blob_not_found"


class TableNotFound(NotFound):
    code = "table_not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodNotAllowed(DeepAnalyzeError):
    code = "method_not_allowed"


class AlreadyExists(DeepAnalyzeError):
    code = "already_exists"


class Stale(DeepAnalyzeError):
    code = "stale"


class RequestTooLarge(DeepAnalyzeError):
    code = "request_too_large"


class FileTooLarge(DeepAnalyzeError):
    code = "file_too_large"


class ResultTooLarge(DeepAnalyzeError):
    code = "result_too_large"


class QuotaExceeded(DeepAnalyzeError):
    code = "quota_exceeded"


class RateLimited(DeepAnalyzeError):
    code = "rate_limited"


class QueryTimeout(DeepAnalyzeError):
    code = "query_timeout"


class QueryTooCostly(DeepAnalyzeError):
    """`details[0]` holds the plan's `total_cost`, `limit`, `estimated_rows` and `estimated_bytes`."""

    code = "query_too_costly"


class QueryFailed(DeepAnalyzeError):
    """`details[0]` holds `sqlstate` and the server's own `message`, `detail`, `hint` and `position`."""

    code = "query_failed"


class NotSupported(DeepAnalyzeError):
    code = "not_supported"


class SourceError(DeepAnalyzeError):
    pass


class SourceAuthenticationFailed(SourceError):
    code = "source_authentication_failed"


class SourceUnavailable(SourceError):
    code = "source_unavailable"


class FetchFailed(DeepAnalyzeError):
    """Several references failed, or one did; each has an entry in `details` with its own `code` and `param`."""

    def __init__(self, causes: Sequence[tuple[str, DeepAnalyzeError]]) -> None:
        first = causes[0][1]
        details: list[dict[str, Any]] = []
        for param, error in causes:
            own = error.details[0] if error.details else {}
            details.append({**own, "param": param, "code": error.code, "message": error.message})
        message = (
            first.message
            if len(causes) == 1
            else (
                f"{len(causes)} data sources could not be fetched: "
                + " | ".join(e.message for _, e in causes)
            )
        )
        super().__init__(message, param=causes[0][0], details=details, retry_after_s=first.retry_after_s)
        self.code = first.code


class ModelUnavailable(DeepAnalyzeError):
    code = "model_unavailable"


class Busy(DeepAnalyzeError):
    code = "busy"


class SandboxUnavailable(DeepAnalyzeError):
    code = "sandbox_unavailable"


class Cancelled(DeepAnalyzeError):
    code = "cancelled"


class StartupError(DeepAnalyzeError):
    code = "startup_error"


class ConfigurationError(StartupError):
    code = "configuration_error"


class InternalError(DeepAnalyzeError):
    code = "internal_error"
