"""Templates -> answers, with the headers that every page of ours bears."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from cm_service.api.doorway import Doorway
from cm_service.api.launch.browser import frame_origins, protect
from cm_service.db import connections

HERE = Path(__file__).parent
STATIC = HERE / "static"
_TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def html(template: str, **facts: Any) -> Response:
    """Everything that comes from outside is escaped by the template engine."""
    text = _TEMPLATES.get_template(template).render(**facts)
    return Response(text, media_type="text/html; charset=utf-8")


def page(emr: Any, template: str, *, also: Iterable[Any] = (), **facts: Any) -> Response:
    """A page or a part of one, to be framed by this EMR only; where it shows what is of other EMRs `also`,
    by an origin that is of all of them, and mostly by none."""
    answer = html(template, **facts)
    origins = [each for each in frame_origins(emr) if all(each in frame_origins(more) for more in also)]
    protect(answer, framed_by=origins)
    return answer


def shell(emr: Any, session: dict[str, Any], token: str, *, also: Iterable[Any] = ()) -> Response:
    """The page that the callback gives: its token stands in it once, and its script takes it out."""
    return page(emr, "shell.html", also=also, token=token, session=session, style=session["context"]["style"])


def onward(emr: Any, away: Response) -> Response:
    """`away` as a page that the browser leaves by itself, with the cookie that was set."""
    answer = page(emr, "onward.html", url=away.headers["location"], name=emr.slug)
    answer.headers.append("Set-Cookie", away.headers["set-cookie"])
    return answer


def refusal(door: Doorway, words: str) -> Response:
    """Says what to do, and nothing of what came in. Any registered EMR may frame it."""
    with door.store.read() as connection:
        rows = connections.list_emrs(connection)
    answer = html("refusal.html", words=words)
    answer.status_code = 400
    protect(answer, framed_by=sorted({origin for row in rows for origin in frame_origins(row)}))
    return answer
