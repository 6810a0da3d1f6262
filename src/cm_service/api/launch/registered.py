"""Which EMR launches us: `iss` against the registered list, before anything is called (EL-1)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from cm_service.api.doorway import Doorway
from cm_service.db import connections

LONGEST_ISS = 2000
_DEFAULT_PORTS = {"https": 443, "http": 80}


def emr_of(door: Doorway, iss: str) -> Any | None:
    """The row of the EMR with this base, None for any other `iss`, however near it looks."""
    wanted = canonical(iss)
    if wanted is None:
        return None
    with door.store.read() as connection:
        rows = connections.list_emrs(connection)
    return next((row for row in rows if wanted == canonical(_issuer(row))), None)


def _issuer(row: Any) -> str:
    """What the EMR calls itself at a launch: its base, or what was agreed at registration."""
    return str(row.launch_options.get("iss") or row.base_url)


def canonical(url: str) -> tuple[str, str, int, str] | None:
    """(scheme, host, port, path) of a base URL; None for what no base URL looks like: user, query,
    fragment, dots in the path, percent-encoding, a host that is not plain ASCII."""
    if not 0 < len(url) <= LONGEST_ISS or not url.isascii() or any(c.isspace() for c in url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    odd = parts.username or parts.password or parts.query or parts.fragment or "?" in url or "#" in url
    host = parts.hostname or ""
    if odd or not host or host.endswith(".") or "%" in url or "\\" in url or not port:
        return None
    path = parts.path.rstrip("/")
    if any(step in (".", "..") for step in path.split("/")) or "//" in path:
        return None
    return parts.scheme, host, port, path
