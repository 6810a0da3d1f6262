"""Interactions that write: create (conditional too), update and patch with a precondition, delete."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

from cm_service.sandbox.answers import Answer, Refusal
from cm_service.sandbox.calls import Call, Emr, known_version
from cm_service.sandbox.checks import ID, check_content, check_references, make_local
from cm_service.sandbox.declared import Guard
from cm_service.sandbox.patching import patched
from cm_service.sandbox.search import condition_pairs, parse, run
from cm_service.sandbox.told import deleted_answer, written_answer
from cm_service.sandbox.versions import Version
from cm_service.sandbox.wire import Resource, decode, version_of


def create(emr: Emr, call: Call) -> Answer:
    check_content(call.resource, type_=call.type, lax=emr.personality.manners.lax)
    with emr.store.atomic():
        found = match_none_exist(emr, call)
        if found is not None:
            return written_answer(emr, call, 200, found)
        return _store(emr, _taken(emr, call), id_=call.new_id or emr.new_id(), method="POST")


def match_none_exist(emr: Emr, call: Call) -> Version | None:
    """The one resource that If-None-Exist finds; None for none, or without that header."""
    condition = call.headers.get("if-none-exist")
    declared = emr.declared(call.type)
    if not condition and emr.personality.manners.blank_condition:
        return None
    if condition is None or (not declared.conditional_create and not emr.personality.refuses_condition):
        return None
    if not declared.conditional_create:
        raise Refusal(400, "not-supported", "this server has no conditional create for this type")
    pairs = condition_pairs(condition, type_=call.type)
    query = parse(pairs, declared=declared, limits=emr.personality, strict=True, base=call.base)
    if not query.tests:
        raise Refusal(400, "required", "If-None-Exist holds no search parameter")
    found = run(emr.store, call.type, query)
    if len(found) > 1:
        raise Refusal(412, "multiple-matches", f"{len(found)} resources match If-None-Exist")
    return found[0] if found else None


def update(emr: Emr, call: Call) -> Answer:
    check_content(call.resource, type_=call.type, lax=emr.personality.manners.lax)
    if call.resource.get("id") != call.id or not ID.fullmatch(call.id):
        raise Refusal(400, "invalid", "the body's id must be the id in the URL")
    with emr.store.atomic():
        current = emr.store.current(call.type, call.id)
        exists = current is not None and current.resource is not None
        _check_precondition(emr, call, current)
        if not exists and not emr.declared(call.type).update_create:
            gone = emr.personality.gone_status
            raise Refusal(404 if current is None else gone, "not-found", "no such resource to update")
        return _store(emr, _taken(emr, call), id_=call.id, method="PUT")


def patch(emr: Emr, call: Call) -> Answer:
    """JSON Patch; what comes out is checked as an update is."""
    if call.patch is None:
        status = emr.personality.manners.media_status
        raise Refusal(
            status, "not-supported", "this server takes patches in application/json-patch+json only"
        )
    with emr.store.atomic():
        current = known_version(emr, call)
        if current.resource is None:
            raise Refusal(emr.personality.gone_status, "deleted", "the resource was deleted")
        _check_precondition(emr, call, current)
        resource = patched(decode(current.body), call.patch)
        return update(emr, replace(call, resource=resource))


def delete(emr: Emr, call: Call) -> Answer:
    """Deleting again changes nothing."""
    with emr.store.atomic():
        current = known_version(emr, call)
        if current.resource is not None:
            if emr.personality.manners.guards_delete:
                _check_precondition(emr, call, current)
            current = emr.store.delete(call.type, call.id)
        return deleted_answer(emr, call, current)


def _taken(emr: Emr, call: Call) -> Call:
    """What this EMR takes of the body, after its own rules; what came stays in `sent`."""
    declared = emr.declared(call.type)
    rules = declared.rules + (declared.update_rules if call.id else ())
    sent = call.resource if rules else None
    for rule in rules:
        call = replace(call, resource=rule(emr, call))
    return replace(call, sent=sent)


def _store(emr: Emr, call: Call, *, id_: str, method: str) -> Answer:
    make_local(call.resource, base=call.base)
    itself = f"{call.type}/{id_}"
    here = {itself, *call.promised}
    check_references(
        call.resource,
        exists=lambda key: key in here or emr.store.exists(key) or _holds_a_place(emr, key),
    )
    before = emr.store.current(call.type, id_)
    if before is not None and emr.personality.keeps_version and _same(before.resource, call.resource):
        return written_answer(emr, call, 200, before)
    version = emr.store.put(call.resource, type_=call.type, id_=id_, method=method, sent=call.sent)
    fresh = before is None or before.resource is None
    return written_answer(emr, call, 201 if fresh else 200, version)


def _holds_a_place(emr: Emr, key: str) -> bool:
    """Some servers put an empty resource where a reference leads nowhere, but none under a number, which
    is theirs to give, and none where somebody deleted one."""
    type_, _, id_ = key.partition("/")
    if not emr.personality.manners.placeholders or id_.isdecimal() or emr.store.current(type_, id_):
        return False
    emr.store.put({"resourceType": type_, "id": id_}, type_=type_, id_=id_, by="load")
    return True


def _same(stored: Resource | None, sent: Resource) -> bool:
    return stored is not None and _content(stored) == _content(sent)


def _content(resource: Resource) -> dict[str, Any]:
    """All but what the server itself sets."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    return {**resource, "meta": meta, "id": ""}


def _check_precondition(emr: Emr, call: Call, current: Version | None) -> None:
    guard = emr.personality.guard
    wanted = call.headers.get(guard.lower())
    if guard is Guard.NONE or wanted is None:
        return
    if current is None and not emr.personality.manners.guards_new:
        return
    try:
        met = _is_version(emr, wanted, current) if guard is Guard.ETAG else _is_older(wanted, current)
    except (ValueError, TypeError) as error:
        raise Refusal(400, "value", f"the value of {guard} cannot be read") from error
    if not met:
        status = emr.personality.conflict_status
        raise Refusal(status, "conflict", f"the resource has another version than {guard} says")


def _is_version(emr: Emr, tag: str, current: Version | None) -> bool:
    wanted = version_of(tag)
    if current is None or current.resource is None:
        return False
    return emr.personality.version_name(current) == wanted


def _is_older(date: str, current: Version | None) -> bool:
    """Such dates have no parts of a second: what changed within the same second passes unnoticed."""
    wanted = parsedate_to_datetime(date)
    return current is not None and current.updated.replace(microsecond=0) <= wanted.astimezone(dt.UTC)
