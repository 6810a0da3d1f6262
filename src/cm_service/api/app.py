"""The web application: what is public, what a token opens, and how errors look."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from cm_service import __version__, wiring
from cm_service.api import keys, metrics, operations, problems
from cm_service.api.cds import routes as cds
from cm_service.api.doorway import Doorway
from cm_service.api.follower import Follower
from cm_service.api.launch import routes as launch
from cm_service.api.nights import Nights
from cm_service.api.notifications import routes as notifications
from cm_service.api.pages import lists as worklist_page
from cm_service.api.pages import routes as pages
from cm_service.api.security import token_endpoint
from cm_service.api.security.gate import Gate
from cm_service.api.security.jwks_http import JwksHttp
from cm_service.api.security.key_source import KeySource
from cm_service.api.v1 import care, emrs, evaluate, fhir, ledger, patients, syncs, worklist
from cm_service.settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """Without settings only the OpenAPI document can be had. Raises Misconfigured."""
    app = FastAPI(
        title="cm-service",
        version=__version__,
        summary="Care management inside the EMR",
        docs_url=None,  # the interactive pages load scripts from a foreign host
        redoc_url=None,
        redirect_slashes=False,  # an address is exact: no token or body is sent on to another one
        lifespan=_following if settings is not None and settings.hint_seconds else None,
    )
    problems.install(app)
    public = (operations, metrics, keys, token_endpoint, cds, launch, notifications)
    for each in (*public, emrs, patients, care, worklist, syncs, ledger, evaluate, fhir):
        app.include_router(each.router)
    app.include_router(pages.static)
    app.include_router(pages.router)
    app.include_router(worklist_page.router)
    if settings is not None:
        app.state.doorway = _doorway(settings)
        app.add_middleware(
            Gate,
            doorway=lambda: app.state.doorway,
            calls_per_minute=settings.api_calls_per_minute,
            longest_body=settings.api_longest_body,
        )
    return app


@asynccontextmanager
async def _following(app: FastAPI) -> AsyncIterator[None]:
    door: Doorway = app.state.doorway
    follower = Follower(door.tools, door.database, seconds=door.tools.settings.hint_seconds)
    follower.start()
    try:
        yield
    finally:
        await run_in_threadpool(follower.stop)


def from_environment() -> FastAPI:
    """For uvicorn's workers, each of which builds its own."""
    return create_app(Settings())


def _doorway(settings: Settings) -> Doorway:
    store, database = wiring.both_stores(settings)
    tools = wiring.night_tools(settings, store)
    return Doorway(
        tools=tools,
        nights=Nights(tools),
        sealer=wiring.sealer(settings),
        store=store,
        database=database,
        clock=wiring.now,
        keys=KeySource(JwksHttp(wiring.outside(settings)), wiring.now),
        ring=wiring.keyring(settings),
        identifier_base=settings.identifier_base,
        public_url=settings.public_url.rstrip("/"),
    )
