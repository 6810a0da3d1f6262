"""The CapabilityStatement, made from the same declaration that the router consults."""

from __future__ import annotations

from cm_service import __version__
from cm_service.sandbox.declared import PATCH, Declared, Interaction, Meta, Personality
from cm_service.sandbox.store import Store
from cm_service.sandbox.wire import JSON_TYPE, Resource, instant


def capability_statement(personality: Personality, *, store: Store, base: str) -> Resource:
    """GET /metadata: what this server does, and the little more that its personality claims to do."""
    count = {"name": personality.paging.count, "type": "number"}
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(store.clock()),
        "kind": "instance",
        "software": {"name": "cm-service sandbox", "version": __version__},
        "implementation": {"description": f"sandbox EMR, personality {personality.name}", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json", JSON_TYPE],
        "rest": [
            {
                "mode": "server",
                "resource": [
                    _resource(kind, declared, personality) for kind, declared in personality.types.items()
                ],
                "interaction": [{"code": code} for code in sorted(personality.system)],
                "searchParam": [
                    {**count, "documentation": f"at most {personality.max_count}"},
                    {"name": "_summary", "type": "token", "documentation": "count, false"},
                ],
            }
        ],
    }


def _resource(kind: str, declared: Declared, personality: Personality) -> Resource:
    versioned = personality.etag and personality.meta is Meta.WHOLE
    told: Resource = {
        "type": kind,
        "interaction": [{"code": code} for code in (*Interaction, PATCH) if declared.tells(code)],
        "versioning": "versioned" if versioned else "no-version",
        "readHistory": declared.allows(Interaction.VREAD),
        "updateCreate": declared.update_create,
        "conditionalCreate": declared.conditional_create,
        "conditionalRead": "not-supported",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "searchParam": [
            {"name": p.name, "type": p.kind}
            for p in declared.parameters.values()
            if p.name not in declared.untold
        ],
    }
    if declared.operations:
        told["operation"] = [
            {"name": name, "definition": f"urn:cm-service:sandbox:{name}"} for name in declared.operations
        ]
    return told
