"""What EMRs check, change and drop beyond FHIR: parts of which personalities are put together.

A rule is given the call and returns the resource to store; a search rule looks at the parameters.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from cm_service.sandbox.answers import Refusal
from cm_service.sandbox.calls import Call, Emr
from cm_service.sandbox.declared import Rule, SearchRule
from cm_service.sandbox.matching import elements, local_key
from cm_service.sandbox.wire import Resource

_ENVELOPE = frozenset({"resourceType", "id", "meta"})
_OPEN = ("planned", "arrived", "triaged", "in-progress", "onleave")


def keeps(names: str) -> Rule:
    """Everything else is dropped in silence."""
    wanted = _ENVELOPE | frozenset(names.split())
    return lambda _, call: {name: value for name, value in call.resource.items() if name in wanted}


def drops(names: str) -> Rule:
    unwanted = frozenset(names.split())
    return lambda _, call: {name: value for name, value in call.resource.items() if name not in unwanted}


def requires(*names: str) -> Rule:
    def rule(_: Emr, call: Call) -> Resource:
        for name in names:
            if not any(elements(call.resource, name)):
                raise Refusal(400, "required", f"{call.type}.{name} is required here")
        return call.resource

    return rule


def takes_only(path: str, values: str, *, status: int = 400, detail: str = "") -> Rule:
    """Any value at `path` (a code, or those of codings) that is none of these is refused."""
    known = frozenset(values.split())

    def rule(_: Emr, call: Call) -> Resource:
        if not known.issuperset(map(str, elements(call.resource, path))):
            raise Refusal(status, "value", f"{call.type}.{path} must be {values}", detail=detail)
        return call.resource

    return rule


def subscribes(_: Emr, call: Call) -> Resource:
    """A Subscription is asked for or turned off by a client; whether it is active the server says."""
    if call.type != "Subscription":
        return call.resource
    if call.resource.get("status") not in ("requested", "off"):
        raise Refusal(422, "value", "Subscription.status must be requested or off")
    is_asked = call.resource["status"] == "requested"
    return {**call.resource, "status": "active" if is_asked else "off"}


def at_most(path: str, length: int) -> Rule:
    def rule(_: Emr, call: Call) -> Resource:
        if any(len(str(text)) > length for text in elements(call.resource, path)):
            raise Refusal(400, "too-long", f"{call.type}.{path} takes {length} characters")
        return call.resource

    return rule


def with_time(*paths: str) -> Rule:
    """A date alone will not do."""

    def rule(_: Emr, call: Call) -> Resource:
        if any("T" not in str(value) for path in paths for value in elements(call.resource, path)):
            raise Refusal(400, "value", "dates must have a time")
        return call.resource

    return rule


def no_modifiers(_: Emr, call: Call) -> Resource:
    if "modifierExtension" in call.resource:
        raise Refusal(422, "extension", "modifier extensions are not taken")
    return call.resource


def on_encounter(path: str, *, open_only: bool = False) -> Rule:
    """The resource must hang on one encounter that exists and is of the same patient."""

    def rule(emr: Emr, call: Call) -> Resource:
        keys = [local_key(reference) for reference in elements(call.resource, f"{path}.reference")]
        encounter = _alive(emr, keys[0]) if len(keys) == 1 else None
        if encounter is None:
            raise Refusal(400, "required", f"{call.type}.{path} must be one encounter that exists")
        if encounter.get("subject", {}).get("reference") != call.resource["subject"]["reference"]:
            raise Refusal(400, "business-rule", "the encounter is that of another patient")
        if open_only and encounter.get("status") not in _OPEN:
            raise Refusal(400, "business-rule", "the encounter is closed")
        return call.resource

    return rule


def _alive(emr: Emr, key: str | None) -> Resource | None:
    type_, _, id_ = (key or "").partition("/")
    version = emr.store.current(type_, id_) if type_ == "Encounter" else None
    return version.resource if version is not None else None


def plain_text_note(_: Emr, call: Call) -> Resource:
    """Only the first attachment is kept; it must be plain text in base64."""
    content = call.resource["content"][:1]
    attachment = content[0].get("attachment", {})
    if attachment.get("contentType", "").partition(";")[0] != "text/plain":
        raise Refusal(400, "not-supported", "a note is text/plain")
    try:
        text = base64.b64decode(attachment.get("data", ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refusal(400, "value", "a note is text in base64") from error
    if not text.strip():
        raise Refusal(400, "required", "a note has text")
    return {**call.resource, "content": content}


def once(*paths: str, detail: str, words: str) -> Rule:
    """The same again is refused with the vendor's number for it; what is still held is not compared.

    The first path is that of the patient's reference.
    """

    def rule(emr: Emr, call: Call) -> Resource:
        def key(resource: Resource | None) -> list[list[Any]]:
            return [list(elements(resource or {}, path)) for path in paths]

        held, patient = emr.declared(call.type).held, next(elements(call.resource, paths[0]), "")
        there = (emr.store.seen(v, held=held) for v in emr.store.of_patient(call.type, patient))
        if any(key(version.resource) == key(call.resource) for version in there if version is not None):
            raise Refusal(400, "duplicate", words, detail=detail)
        return call.resource

    return rule


def only_to(status: str) -> Rule:
    """An update may do nothing but give this status."""

    def rule(emr: Emr, call: Call) -> Resource:
        current = emr.store.current(call.type, call.id)
        if call.resource.get("status") != status or current is None:
            raise Refusal(422, "business-rule", f"an update can only set the status to {status}")
        return {**(current.resource or {}), "status": status}

    return rule


def no_new_numbers(emr: Emr, call: Call) -> Resource:
    """An id of digits only is for the server to give."""
    if call.id.isdecimal() and emr.store.current(call.type, call.id) is None:
        raise Refusal(400, "processing", "a client cannot choose an id of digits only")
    return call.resource


# Searches


def date_pair(name: str) -> SearchRule:
    """A date is asked with `ge` and `le` or not at all."""

    def rule(values: Mapping[str, list[str]]) -> None:
        prefixes = sorted(value[:2] for value in values.get(name, ()))
        if prefixes not in ([], ["ge", "le"]):
            raise Refusal(400, "value", f"{name} needs one value with ge and one with le")

    return rule


def not_together(one: str, other: str) -> SearchRule:
    def rule(values: Mapping[str, list[str]]) -> None:
        if one in values and other in values:
            raise Refusal(400, "not-supported", f"{one} and {other} cannot be asked together")

    return rule


def never(name: str, words: str) -> SearchRule:
    """Values that give an error, whatever their system."""
    bad = frozenset(words.split())

    def rule(values: Mapping[str, list[str]]) -> None:
        asked = {part.rpartition("|")[2] for value in values.get(name, ()) for part in value.split(",")}
        if asked & bad:
            raise Refusal(400, "not-supported", f"this {name} cannot be searched for")

    return rule
