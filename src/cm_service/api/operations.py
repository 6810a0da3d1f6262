"""Health: is the process alive, and can it do its work?"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from cm_service.api.doorway import doorway
from cm_service.errors import CmError

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    status: Literal["ok", "unavailable"]


@router.get("/healthz", summary="The process is alive")
def healthz() -> Health:
    return Health(status="ok")


@router.get(
    "/readyz", summary="The store answers and its schema is current", responses={503: {"model": Health}}
)
def readyz(request: Request, response: Response) -> Health:
    door = doorway(request)
    try:
        door.store.require_current()
        door.database.require_current()
    except (CmError, SQLAlchemyError):
        response.status_code = 503
        return Health(status="unavailable")
    return Health(status="ok")
