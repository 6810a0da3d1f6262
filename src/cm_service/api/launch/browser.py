"""What the browser is told: cookies that a frame may keep, and headers that keep a frame in its place."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response

COOKIE = "__Host-cm-browser"
# On http (loopback, for trying) no browser keeps a __Host- cookie.
LOCAL_COOKIE = "cm-browser"
_DAY = 86_400


def browser_of(request: Request) -> str:
    """The id in the browser's cookie, "" where none survived."""
    return request.cookies.get(COOKIE) or request.cookies.get(LOCAL_COOKIE) or ""


def keep_browser(response: Response, value: str, *, secure: bool) -> None:
    """Opaque, partitioned by the site that frames us: it says "the same browser as before", no more.
    Written out, because the standard library knows Partitioned only from Python 3.14 on."""
    if secure:
        text = f"{COOKIE}={value}; Path=/; Max-Age={_DAY}; Secure; HttpOnly; SameSite=None; Partitioned"
    else:
        text = f"{LOCAL_COOKIE}={value}; Path=/; Max-Age={_DAY}; HttpOnly; SameSite=Lax"
    response.headers.append("Set-Cookie", text)


def frame_origins(emr: Any) -> list[str]:
    """Who may frame pages of this EMR: the registered origins, else the origin of its own base."""
    given = str(emr.launch_options.get("frame-ancestors") or "").split()
    base = urlsplit(emr.base_url)
    return given or [f"{base.scheme}://{base.netloc}"]


def protect(response: Response, *, framed_by: list[str], forms_to: tuple[str, ...] = ()) -> None:
    """Nothing inline, nothing from elsewhere, no cache, no referrer, framed by those origins only."""
    ancestors = " ".join(framed_by) or "'none'"
    forms = " ".join(("'self'", *forms_to))
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
        f" connect-src 'self'; base-uri 'none'; form-action {forms}; frame-ancestors {ancestors}"
    )
    if not framed_by:
        response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), payment=()"
