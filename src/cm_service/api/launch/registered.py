"""Which EMR launches us: `iss` against the registered list, before anything is called (EL-1)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from cm_service.api.doorway import Doorway
from cm_service.db import connections

LONGEST_ISS = 2000
_NEVER = frozenset(" @?#%\\")
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
    if not 0 < len(url) <= LONGEST_ISS or not url.isascii() or not url.isprintable():
        return None
    if set(url) & _NEVER:
        return None
    try:
        parts = urlsplit(url)
        port = _DEFAULT_PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    if not host or host.endswith(".") or not port:
        return None
    path = parts.path.removesuffix("/")
    if any(step in (".", "..") for step in path.split("/")) or "//" in path:
        return None
    return parts.scheme, host, port, path
