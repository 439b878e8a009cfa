"""The audit trail, for administrators."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query

from deepanalyze.accounts import Principal, is_user_id
from deepanalyze.api.audit_schemas import AuditRecord, AuditVerification
from deepanalyze.api.auth import CurrentPrincipal, for_admins
from deepanalyze.api.context import Runtime
from deepanalyze.api.pagination import Cursor, Limit, from_cursor, page, to_cursor
from deepanalyze.api.schemas import Page, failures
from deepanalyze.api.services import Services
from deepanalyze.audit import Action, NotedHead, Outcome, Record, Wanted, note
from deepanalyze.audit.noted import FORM
from deepanalyze.errors import InvalidRequest

router = APIRouter(prefix="/admin/audit", tags=["administration"], dependencies=for_admins)

_Moment = Annotated[int | None, Query(ge=0, le=2**40)]


@router.get(
    "",
    summary="Who did what: the audit trail",
    response_model=Page[AuditRecord],
    responses=failures(403),
)
async def list_records(
    runtime: Runtime,
    principal: CurrentPrincipal,
    user: Annotated[
        str | None,
        Query(max_length=64, description="only of this user: the id, or the name while the user is there"),
    ] = None,
    source: Annotated[
        str | None,
        Query(max_length=64, description="only of this source: its id, or its name while it is there"),
    ] = None,
    object: Annotated[
        str | None,
        Query(
            max_length=64,
            description="only what was done to this: a user, key, source, thread or file, by id; of a thread also what "
            "was fetched into it and uploaded from it",
        ),
    ] = None,
    action: Annotated[Action | None, Query(description="only these, such as `query`")] = None,
    outcome: Annotated[Outcome | None, Query(description="only what ended so")] = None,
    since: Annotated[_Moment, Query(description="only from this Unix second on")] = None,
    until: Annotated[_Moment, Query(description="only before this Unix second")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Newest first. Never a secret, never the content of a file; of SQL what the setting `audit_statements` says."""
    if since is not None and until is not None and until <= since:
        raise InvalidRequest("until must be later than since: no record lies between them", param="until")
    wanted = Wanted(
        user_id=user and await _user_id(runtime, user),
        source_id=source and _source_id(runtime, principal, source),
        object_id=object,
        action=action,
        outcome=outcome,
        since_ms=_ms(since),
        until_ms=_ms(until),
    )
    found, following = await runtime.audit.find(wanted, before=_before(cursor), limit=limit)
    return page(
        [_object(record) for record in found], None if following is None else to_cursor(str(following))
    )


@router.post(
    "/verify",
    summary="Check that no record of the audit trail was changed or taken out",
    response_model=AuditVerification,
    responses=failures(403),
)
async def verify(
    runtime: Runtime,
    expect: Annotated[
        str | None,
        Query(
            pattern=f"^{FORM.pattern}$",
            description="a head that was noted before, as `SEQUENCE:MAC`: that record must be the same still",
        ),
    ] = None,
) -> dict[str, Any]:
    """Walks the whole chain. HTTP 200 either way; `valid` tells how it went."""
    found = await runtime.audit.verify(None if expect is None else NotedHead.parse(expect))
    outcome: Outcome = "ok" if found.valid else "failed"
    note("verify", outcome, object_type="audit_trail", details={"first_broken": found.first_broken})
    return {"valid": found.valid, **dataclasses.asdict(found)}


async def _user_id(runtime: Services, user: str) -> str:
    """Raises InvalidRequest for what is neither: users that are gone have no name any more, but they have their id."""
    found = await runtime.administration.find_user(user)
    if found is None and not is_user_id(user):
        raise InvalidRequest(
            f"there is no user named {user!r}; the records of one who was deleted are found by id",
            param="user",
        )
    return found.id if found else user


def _source_id(runtime: Services, principal: Principal, source: str) -> str:
    """Sources that are gone have no name any more."""
    visible = runtime.sources.list(principal)
    return next((found.id for found in visible if source == found.name), source)


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000


def _before(cursor: str | None) -> int | None:
    return None if cursor is None else max(0, min(from_cursor(cursor, int), 2**62))  # as the database counts


def _object(record: Record) -> dict[str, Any]:
    values = dataclasses.asdict(record.entry)
    time_ms = values.pop("time_ms")
    details = _details(values.pop("details"))
    return {
        "sequence": record.sequence,
        "created_at": time_ms // 1000,
        "time_ms": time_ms,
        **values,
        **_object_of(values),
        "details": details,
    }


def _object_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """A use of a source says it by the source's id alone."""
    if values["object_type"] is None and values["source_id"] is not None:
        return {"object_type": "data_source", "object_id": values["source_id"]}
    return {}


def _details(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, TypeError):  # tampered with, which verification tells
        found = None
    return found if isinstance(found, dict) else {"unreadable": True}
