"""The web application: health and its own description."""

from __future__ import annotations

from fastapi import FastAPI

from cm_service import __version__
from cm_service.api import operations
from cm_service.db.engine import Database


def create_app(database: Database | None = None) -> FastAPI:
    """`database` may be left out where only the OpenAPI document is wanted."""
    app = FastAPI(
        title="cm-service",
        version=__version__,
        summary="Care management inside the EMR",
        docs_url=None,  # the interactive pages load scripts from a foreign host
        redoc_url=None,
    )
    app.state.database = database
    app.include_router(operations.router)
    return app
