"""One HTTP exchange without HTTP: what came in and what goes out, whoever carries it.

A handler serves the ASGI application, the transport without a socket, and every layer that stands
between the two and does harm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from cm_service.sandbox.versions import Version

BASE_PATH = "/fhir"


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request: `origin` is scheme and host, `path` decoded, `query` as it came, header names in
    lower case (a header that came in several lines is one list)."""

    method: str
    origin: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def type(self) -> str:
        """The FHIR type that it is about, from the path; "" for the whole system."""
        first = self.path.removeprefix(BASE_PATH).strip("/").partition("/")[0]
        return first if first[:1].isupper() else ""

    @property
    def id(self) -> str:
        parts = self.path.removeprefix(BASE_PATH).strip("/").split("/")
        return parts[1] if len(parts) > 1 and not parts[1].startswith(("_", "$")) else ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One answer. `cut`: the connection breaks after so many bytes of the body. `shows`: the versions
    of resources that its body lets the client see."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    shows: tuple[Version, ...] = ()


class BrokenConnectionError(Exception):
    """The connection ends without an answer. `late`: the client waited in vain until its timeout."""

    def __init__(self, *, late: bool = False) -> None:
        super().__init__("the connection ended without an answer")
        self.late = late


Handler = Callable[[Incoming], Awaitable[Outgoing]]
