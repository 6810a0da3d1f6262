"""Our public keys, for EMRs that check what we sign (SMART Backend Services)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel

from cm_service.api.doorway import doorway
from cm_service.errors import Misconfigured

router = APIRouter(tags=["authorisation"])

# Far shorter than the time that a key is published before it is used.
_CACHE_SECONDS = 3600


class KeySet(BaseModel):
    keys: list[dict[str, Any]]


@router.get("/.well-known/jwks.json", summary="Our public keys: current, next, and lately replaced")
def jwks(request: Request, response: Response) -> KeySet:
    door = doorway(request)
    try:
        keys = door.ring.published(door.clock())
    except Misconfigured as error:
        raise HTTPException(503, "the keys cannot be read") from error
    response.headers["Cache-Control"] = f"public, max-age={_CACHE_SECONDS}"
    return KeySet(keys=keys)
