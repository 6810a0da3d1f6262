"""Interactions that write: create (conditional too), update with If-Match, delete."""

from __future__ import annotations

from cm_service.sandbox.answers import Answer, Refusal, version_headers, written_answer
from cm_service.sandbox.calls import Call, Emr, known_version
from cm_service.sandbox.checks import ID, check_content, check_references, make_local
from cm_service.sandbox.search import condition_pairs, parse, run
from cm_service.sandbox.store import Version
from cm_service.sandbox.wire import version_of


def create(emr: Emr, call: Call) -> Answer:
    check_content(call.resource, type_=call.type)
    with emr.store.atomic():
        found = match_none_exist(emr, call)
        if found is not None:
            return written_answer(200, found, base=call.base, preference=call.preference("return"))
        return _store(emr, call, id_=call.new_id or emr.store.new_id(), method="POST")


def match_none_exist(emr: Emr, call: Call) -> Version | None:
    """The one resource that If-None-Exist finds; None for none, or without that header."""
    condition = call.headers.get("if-none-exist")
    if condition is None:
        return None
    declared = emr.declared(call.type)
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
    check_content(call.resource, type_=call.type)
    if call.resource.get("id") != call.id or not ID.fullmatch(call.id):
        raise Refusal(400, "invalid", "the body's id must be the id in the URL")
    with emr.store.atomic():
        current = emr.store.current(call.type, call.id)
        exists = current is not None and current.resource is not None
        _check_if_match(call, current)
        if not exists and not emr.declared(call.type).update_create:
            raise Refusal(404 if current is None else 410, "not-found", "no such resource to update")
        return _store(emr, call, id_=call.id, method="PUT")


def delete(emr: Emr, call: Call) -> Answer:
    """204; deleting again changes nothing."""
    with emr.store.atomic():
        current = known_version(emr, call)
        if current.resource is not None:
            _check_if_match(call, current)
            current = emr.store.delete(call.type, call.id)
        return Answer(204, b"", version_headers(current), current)


def _store(emr: Emr, call: Call, *, id_: str, method: str) -> Answer:
    make_local(call.resource, base=call.base)
    itself = f"{call.type}/{id_}"
    check_references(
        call.resource,
        exists=lambda key: key == itself or key in call.promised or emr.store.exists(key),
    )
    before = emr.store.exists(itself)
    version = emr.store.put(call.resource, type_=call.type, id_=id_, method=method)
    return written_answer(
        200 if before else 201, version, base=call.base, preference=call.preference("return")
    )


def _check_if_match(call: Call, current: Version | None) -> None:
    tag = call.headers.get("if-match")
    if tag is None:
        return
    try:
        wanted = version_of(tag)
    except ValueError as error:
        raise Refusal(400, "value", 'If-Match must be a version tag such as W/"1"') from error
    if current is None or current.resource is None or current.number != wanted:
        raise Refusal(412, "conflict", "the resource has another version than If-Match says")
