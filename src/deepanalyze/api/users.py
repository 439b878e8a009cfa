"""Users: who may come in, as what, and to which shared sources. For administrators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Path as PathParameter

from deepanalyze.accounts import Grant, User
from deepanalyze.api.admin_schemas import GrantObject, NewUser, UserChange, UserDeleted, UserObject
from deepanalyze.api.auth import for_admins
from deepanalyze.api.bodies import JsonRoute
from deepanalyze.api.context import Runtime
from deepanalyze.api.pagination import Cursor, Limit, cut, page
from deepanalyze.api.schemas import Page, failures

router = APIRouter(
    prefix="/admin/users", tags=["administration"], route_class=JsonRoute, dependencies=for_admins
)

UserId = Annotated[str, PathParameter(description="the user's id or name", examples=["ada"])]


@router.post(
    "", summary="Add a user", status_code=201, response_model=UserObject, responses=failures(403, 409)
)
async def create(body: NewUser, runtime: Runtime) -> dict[str, Any]:
    """Comes in with the first API key made for it."""
    return _user(await runtime.administration.create_user(body.name, body.role, _grants(body.grants)))


@router.get("", summary="List the users", response_model=Page[UserObject], responses=failures(403))
async def list_users(runtime: Runtime, limit: Limit = 100, cursor: Cursor = None) -> dict[str, Any]:
    """By name."""
    users = sorted(await runtime.administration.users(), key=lambda user: user.name)
    some, next_cursor = cut(users, lambda user: user.name, limit, cursor)
    return page([_user(user) for user in some], next_cursor)


@router.get("/{id}", summary="Get a user", response_model=UserObject, responses=failures(403, 404))
async def get_user(id: UserId, runtime: Runtime) -> dict[str, Any]:
    return _user(await runtime.administration.user(id))


@router.patch(
    "/{id}",
    summary="Change a user's name, role or grants",
    response_model=UserObject,
    responses=failures(403, 404, 409),
)
async def change(id: UserId, body: UserChange, runtime: Runtime) -> dict[str, Any]:
    """What is left out stays. Counts from the user's next request on."""
    grants = None if body.grants is None else _grants(body.grants)
    return _user(await runtime.administration.change_user(id, name=body.name, role=body.role, grants=grants))


@router.delete(
    "/{id}",
    summary="Delete a user with keys, private sources, threads and files",
    response_model=UserDeleted,
    responses=failures(403, 404),
)
async def delete(id: UserId, runtime: Runtime) -> dict[str, Any]:
    """Ends what the user runs. Sources that the user shared stay. The last administrator cannot be deleted."""
    return {"id": (await runtime.administration.delete_user(id)).id, "deleted": True}


def _grants(given: Sequence[GrantObject]) -> list[Grant]:
    return [Grant(grant.source_id, grant.use, grant.write) for grant in given]


def _user(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "object": "user",
        "name": user.name,
        "role": user.role,
        "grants": [
            {"source_id": grant.source_id, "use": grant.use, "write": grant.write} for grant in user.grants
        ],
        "created_at": user.created_at,
    }
