"""Errors as RFC 9457 problem details: what is wrong and where, never what was sent (it may be PHI)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from cm_service.errors import BadInput, Busy, CmError, Lost, NotNow
from cm_service.logs import log

MEDIA_TYPE = "application/problem+json"


class Place(BaseModel):
    """`at` is a path into the request, such as body.name; `detail` what is wrong there."""

    at: str
    detail: str


class Problem(BaseModel):
    """RFC 9457. `type` is about:blank: the status says it all; `advice` is retry, stop or tell a person."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    advice: str | None = None
    errors: list[Place] | None = None


def answer(
    status: int,
    detail: str | None = None,
    *,
    advice: str | None = None,
    errors: list[Place] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    problem = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, advice=advice, errors=errors
    )
    body = problem.model_dump(exclude_none=True)
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI document: these statuses come as problems."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document with the schema that `responses` points to."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        whole = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(whole.pop("$defs", {}))
        schemas["Problem"] = whole
    return FastAPI.openapi(app)


def install(app: FastAPI) -> None:
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(CmError, _own)
    app.add_exception_handler(Exception, _unexpected)
    app.openapi = lambda: described(app)  # type: ignore[method-assign]


def _methods(request: Request) -> set[str]:
    """Of every operation of this path: the framework's own answer names those of the first route."""
    found: set[str] = set()
    for template, operations in request.app.openapi()["paths"].items():
        if compile_path(template)[0].match(request.url.path):
            found |= {method.upper() for method in operations}
    return found


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request))) or headers.get("Allow", "")
    return answer(error.status_code, error.detail or None, headers=headers)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    places = [Place(at=".".join(map(str, each["loc"])), detail=each["msg"]) for each in error.errors()]
    return answer(422, "the request is not as the OpenAPI document says", advice="stop", errors=places)


def status_of(error: Exception) -> int:
    """The status under which an error leaves; 500 for what is none of ours."""
    if isinstance(error, HTTPException):
        return error.status_code
    if isinstance(error, RequestValidationError | BadInput):
        return 422
    if isinstance(error, Busy | NotNow):
        return 409
    return 404 if isinstance(error, Lost) else 503 if isinstance(error, CmError) else 500


async def _own(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CmError)
    return answer(status_of(error), str(error), advice=error.advice.value)


async def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    """A fault of ours: the log names its class, since its text may hold anything."""
    log.error("unexpected error", type=type(error).__name__)
    return answer(500, "a fault of this service; it was logged", advice="tell a person")
