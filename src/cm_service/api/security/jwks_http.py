"""Fetching a registered party's key set."""

from __future__ import annotations

import json

from cm_service.api.security.key_source import Fetched, KeysUnavailable
from cm_service.fhir.outside import OutsideHttp, OutsideUnreachable


class JwksHttp:
    """Fetches for `KeySource`. Raises KeysUnavailable."""

    def __init__(self, outside: OutsideHttp) -> None:
        self._outside = outside

    async def __call__(self, url: str) -> Fetched:
        try:
            reply = await self._outside.ask("GET", url, headers={"Accept": "application/json"})
        except OutsideUnreachable as error:
            raise KeysUnavailable("the key set of this party cannot be fetched") from error
        if reply.status != 200:
            raise KeysUnavailable(f"the key set was answered with {reply.status}")
        try:
            return Fetched(json.loads(reply.body), reply.headers.get("cache-control", ""))
        except (ValueError, RecursionError) as error:
            raise KeysUnavailable("the key set is no JSON") from error
