"""The CapabilityStatement, made from the same declaration that the router consults."""

from __future__ import annotations

from cm_service import __version__
from cm_service.sandbox.personality import Declared, Interaction, Personality
from cm_service.sandbox.store import Store
from cm_service.sandbox.wire import JSON_TYPE, Resource, instant


def capability_statement(personality: Personality, *, store: Store, base: str) -> Resource:
    """GET /metadata: what this server does, and nothing that it does not."""
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
                "resource": [_resource(kind, declared) for kind, declared in personality.types.items()],
                "interaction": [{"code": code} for code in sorted(personality.system)],
                "searchParam": [
                    {"name": "_count", "type": "number", "documentation": f"at most {personality.max_count}"},
                    {"name": "_summary", "type": "token", "documentation": "count, false"},
                ],
            }
        ],
    }


def _resource(kind: str, declared: Declared) -> Resource:
    return {
        "type": kind,
        "interaction": [{"code": code} for code in Interaction if declared.allows(code)],
        "versioning": "versioned",
        "readHistory": declared.allows(Interaction.VREAD),
        "updateCreate": declared.update_create,
        "conditionalCreate": declared.conditional_create,
        "conditionalRead": "not-supported",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "searchParam": [{"name": p.name, "type": p.kind} for p in declared.parameters.values()],
    }
