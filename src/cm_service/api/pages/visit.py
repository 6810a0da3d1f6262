"""One request of a launched page: its own token, its own site, its own patient and user, and the audit.

The token says who and about whom; what the request itself names is only held against it. An id of
another patient is 404, as if it were not there, and stands in the audit.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from cm_service.api.doorway import doorway
from cm_service.api.launch.sessions import Session, confirmed_session, session_of
from cm_service.api.pages import roles
from cm_service.api.pages.merged import require_own
from cm_service.db import doors
from cm_service.db.doors import Access
from cm_service.errors import BadInput, CmError, Lost, NotNow
from cm_service.flow.care.desk import Desk
from cm_service.flow.confidential import cleared_for_pages

Model = TypeVar("Model", bound=BaseModel)
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Form = dict[str, list[str]]
MOST_FIELDS = 100
SAFE = frozenset({"GET", "HEAD"})
NOTHING = "there is nothing here under this name"
CONFIRM = "/app/confirm"


def session(request: Request) -> Session:
    found: Session = request.state.session
    return found


def form(request: Request) -> Form:
    """The fields that were filled in; an empty one is none."""
    found: Form = request.state.form
    return found


def saw(request: Request, patients: Iterable[tuple[str, str]]) -> None:
    """The answer shows these patients, as (EMR, id): each gets a line in the audit."""
    request.state.seen = [*getattr(request.state, "seen", ()), *patients]


class PageRoute(APIRoute):
    """Site, session, patient, handler, audit; whatever comes of it is never kept by the browser."""

    def get_route_handler(self) -> Handler:
        original = super().get_route_handler()

        async def handled(request: Request) -> Response:
            outcome = 500
            try:
                _own_site(request)
                who = session_of if self.path == CONFIRM else confirmed_session
                request.state.session = await who(request)
                request.state.form = {} if request.method in SAFE else await _form(request)
                _own_patient(request)
                response = await original(request)
                outcome = response.status_code
                response.headers.setdefault("Cache-Control", "no-store")
                return response
            except (HTTPException, RequestValidationError, CmError) as refusal:
                outcome = _status(refusal)
                raise
            finally:
                if hasattr(request.state, "session"):
                    await run_in_threadpool(_audit, request, self.name, outcome)

        return handled


def _own_site(request: Request) -> None:
    """3B: browsers say from where a request comes; a foreign site has no business here."""
    if request.method in SAFE:
        return
    public = urlsplit(doorway(request).public_url)
    origin = request.headers.get("origin")
    if origin is not None and origin != f"{public.scheme}://{public.netloc}":
        raise HTTPException(403, "this request comes from another site")
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise HTTPException(403, "this request comes from another site")


async def _form(request: Request) -> Form:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "application/x-www-form-urlencoded"):
        raise HTTPException(415, "a form must be application/x-www-form-urlencoded")
    filled: Form = {}
    async with request.form(max_files=0, max_fields=MOST_FIELDS) as fields:
        for name, value in fields.multi_items():
            if isinstance(value, str) and value.strip():
                filled.setdefault(name, []).append(value)
    return filled


def _own_patient(request: Request) -> None:
    """EL-17, 3B-F09: a form says whom its reader had before the eyes."""
    said = request.state.form.pop("patient", None)
    if said is not None and said != [session(request).patient_id]:
        raise Lost(NOTHING)


def _status(refusal: Exception) -> int:
    if isinstance(refusal, HTTPException):
        return refusal.status_code
    return 404 if isinstance(refusal, Lost) else 409 if isinstance(refusal, NotNow) else 422


def _audit(request: Request, action: str, outcome: int) -> None:
    door, who = doorway(request), session(request)
    users = {each.emr.slug: each.user for each in who.everywhere}
    seen = getattr(request.state, "seen", None) or [(who.emr.slug, who.patient_id)]
    with door.database.write() as connection:
        doors.audit(
            connection,
            [
                Access(
                    at=door.clock(),
                    who=users[emr],
                    emr=emr,
                    patient_id=patient,
                    action=f"page-{action}",
                    purpose="CAREMGT",
                    outcome=outcome,
                    request_id=request.state.request_id,
                )
                for emr, patient in dict.fromkeys(seen)
            ],
        )


def read(request: Request, model: type[Model], **given: Any) -> Model:
    """The form as one of the models of the API, with the same limits. Raises RequestValidationError."""
    fields: dict[str, Any] = {name: values[0] for name, values in form(request).items()}
    try:
        return model.model_validate(fields | given)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False, include_input=False)) from error


def require(request: Request, right: str) -> None:
    """Raises HTTPException 403 for a user whose kind may not do this."""
    if not roles.may(session(request).user, right):
        raise HTTPException(403, "your role does not allow this here")


@contextmanager
def at_desk(request: Request, right: str) -> Iterator[Desk]:
    """The desk for one act on the session's own patient by its own user, in one transaction. Of a record
    that was merged into another one a case can be closed, and nothing else be done."""
    require(request, right)
    who, door = session(request), doorway(request)
    if who.patient_id is None:
        raise Lost(NOTHING)
    with door.store.write() as connection:
        if right != roles.CLOSE:
            require_own(connection, who)
        yield Desk(
            connection,
            who.emr,
            who.patient_id,
            base=door.identifier_base,
            by=who.user,
            now=door.clock(),
            cleared=cleared_for_pages(who.emr.settings),
        )


def own_item(desk: Desk, text: str, kind: str) -> int:
    """An id of something of this patient. Raises Lost for anything of anybody else."""
    if not text.isdigit() or len(text) > 10:
        raise BadInput("this is no id")
    item = desk.item(int(text))
    if item is None or item.kind != kind:
        raise Lost(NOTHING)
    return int(text)
