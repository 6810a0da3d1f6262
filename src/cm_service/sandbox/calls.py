"""What a handler is given: the EMR, and one interaction from an HTTP request or a Bundle entry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cm_service.sandbox.answers import Refusal
from cm_service.sandbox.declared import Declared, Meta, Personality, numbered
from cm_service.sandbox.exports import Exports
from cm_service.sandbox.meter import Meter
from cm_service.sandbox.paging import Pages
from cm_service.sandbox.search import Pairs
from cm_service.sandbox.store import Store
from cm_service.sandbox.versions import Version
from cm_service.sandbox.wire import Resource, encode

_PREFERENCE = re.compile(r"(handling|return)\s*=\s*([A-Za-z]+)", re.ASCII)


@dataclass(frozen=True)
class Emr:
    """A store with a personality."""

    store: Store
    personality: Personality
    pages: Pages
    meter: Meter
    exports: Exports

    def declared(self, type_: str) -> Declared:
        """Raises Refusal 404 for a type that this server does not have."""
        if type_ not in self.personality.types:
            raise Refusal(404, "not-supported", "this server has no such resource type: see /metadata")
        return self.personality.types[type_]

    def new_id(self) -> str:
        return self.personality.id_of(self.store.new_id())

    def body(self, version: Version) -> bytes:
        """One version as this EMR shows it."""
        kind, withheld = self.personality, self.personality.types[version.type].withheld
        plain = kind.meta is Meta.WHOLE and kind.version_name is numbered and not withheld
        if version.resource is None or plain:
            return version.body
        kept = {name: value for name, value in version.resource.items() if name not in withheld}
        meta = {**kept.pop("meta"), "versionId": kind.version_name(version)}
        if kind.meta is Meta.NO_VERSION:
            del meta["versionId"]
        head = {"resourceType": version.type, "id": version.id}
        return encode(head | ({} if kind.meta is Meta.NONE else {"meta": meta}) | kept)


@dataclass(frozen=True)
class Call:
    """One interaction: header names in lower case, `resource` the decoded body.

    `sent` is the body as it came, before the EMR dropped anything; `patch` that of a PATCH. In a
    transaction `new_id` is the id that a create was promised, and `promised` the keys of all that the
    same transaction creates, so that entries may point to each other.
    """

    base: str
    type: str = ""
    id: str = ""
    version: str = ""
    operation: str = ""
    name: str = ""
    path: tuple[str, ...] = ()
    query: Pairs = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    resource: Resource = field(default_factory=dict)
    sent: Resource | None = None
    patch: Any = None
    new_id: str = ""
    promised: frozenset[str] = frozenset()

    def preference(self, name: str) -> str:
        """`strict` of `Prefer: handling=strict`, and the like."""
        preferences: dict[str, str] = dict(_PREFERENCE.findall(self.headers.get("prefer", "")))
        return preferences.get(name, "")


def known_version(emr: Emr, call: Call) -> Version:
    """The newest version, which may be a deletion. Raises Refusal 404 for what never was."""
    version = emr.store.current(call.type, call.id)
    if version is None:
        raise Refusal(404, "not-found", "no such resource")
    return version
