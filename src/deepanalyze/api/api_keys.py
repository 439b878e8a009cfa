"""API keys: made, listed and revoked. For administrators."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from deepanalyze.accounts import ApiKey, User
from deepanalyze.administration import NewKey
from deepanalyze.api.admin_schemas import ApiKeyMade, ApiKeyObject, ApiKeyRevoked, NewApiKey
from deepanalyze.api.auth import for_admins
from deepanalyze.api.bodies import JsonRoute
from deepanalyze.api.context import Runtime
from deepanalyze.api.pagination import Cursor, Limit, cut, page
from deepanalyze.api.schemas import Page, failures

router = APIRouter(
    prefix="/admin/api-keys", tags=["administration"], route_class=JsonRoute, dependencies=for_admins
)


@router.post(
    "",
    summary="Make an API key, for a user that there is or a new one",
    status_code=201,
    response_model=ApiKeyMade,
    responses=failures(403, 409),
)
async def create(body: NewApiKey, runtime: Runtime) -> dict[str, Any]:
    """The answer is the only place where the key is ever shown."""
    wanted = NewKey(body.name, body.user, body.role, body.sources, body.expires_at)
    stored, user, key = await runtime.administration.create_key(wanted)
    return {**_key(stored, user), "key": key}


@router.get("", summary="List the API keys", response_model=Page[ApiKeyObject], responses=failures(403, 404))
async def list_keys(
    runtime: Runtime,
    user: Annotated[str | None, Query(description="only keys of this user (id or name)")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Oldest first, the revoked and expired ones too; never a key itself."""
    keys = await runtime.administration.keys(user)
    some, next_cursor = cut(keys, lambda pair: f"{pair[0].created_at:012}{pair[0].id}", limit, cursor)
    return page([_key(key, of) for key, of in some], next_cursor)


@router.get("/{id}", summary="Get an API key", response_model=ApiKeyObject, responses=failures(403, 404))
async def get_key(id: str, runtime: Runtime) -> dict[str, Any]:
    """Never the key itself."""
    return _key(*await runtime.administration.key(id))


@router.delete(
    "/{id}", summary="Revoke an API key", response_model=ApiKeyRevoked, responses=failures(403, 404)
)
async def revoke(id: str, runtime: Runtime) -> dict[str, Any]:
    """At once: its next request is refused. It stays in the list, as revoked."""
    await runtime.administration.revoke_key(id)
    key, _ = await runtime.administration.key(id)
    return {"id": id, "deleted": True, "revoked_at": key.revoked_at}


def _key(key: ApiKey, user: User) -> dict[str, Any]:
    return {
        "id": key.id,
        "object": "api_key",
        "name": key.name,
        "user": user.name,
        "user_id": user.id,
        "prefix": key.prefix,
        "sources": list(key.sources),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }
