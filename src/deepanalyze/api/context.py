"""How a route gets at the services."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from deepanalyze.api.services import Services


async def _services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


Runtime = Annotated[Services, Depends(_services)]
