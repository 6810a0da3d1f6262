"""An EMR connection's row, read: rule parameters, concept map, and the settings that are columns."""

from __future__ import annotations

from collections.abc import Mapping

from cm_service.errors import BadInput
from cm_service.flow.confidential import SETTING as PAGE_LABELS
from cm_service.flow.confidential import cleared_for_pages
from cm_service.flow.ladder import SETTINGS, write_settings_of
from cm_service.rules.parameters import Parameters, with_settings

CONNECTION_SETTINGS = frozenset(
    {
        *("base-url", "timezone", "auth", "token", "practice", "owner"),
        *("write-mode", "profile", "test-patient", "roster", "group", "max-writes", "pull"),
    }
)
MAP = "map:"

ConceptMap = dict[tuple[str, str], tuple[tuple[str, str], ...]]


def pair(text: str) -> tuple[str, str]:
    """KEY=VALUE as a person gives it; the system of a `map:` key may hold `=`. Raises BadInput."""
    key, found, value = text.rpartition("=") if text.startswith(MAP) else text.partition("=")
    if not found:
        raise BadInput(f"{text!r} is not KEY=VALUE")
    return key, value


def parameters_of(settings: Mapping[str, str]) -> Parameters:
    """The rule parameters among the settings, over the defaults. Raises BadInput."""
    concept_map_of(settings)
    write_settings_of(settings)
    cleared_for_pages(settings)
    others = (MAP, *SETTINGS, PAGE_LABELS)
    rules = [(key, value) for key, value in settings.items() if not key.startswith(others)]
    return with_settings(Parameters(), rules)


def concept_map_of(settings: Mapping[str, str]) -> ConceptMap:
    """Settings `map:SYSTEM|CODE` = `SYSTEM|CODE[,SYSTEM|CODE...]`: what a local code means."""
    mapped: ConceptMap = {}
    for key, value in settings.items():
        if key.startswith(MAP):
            mapped[_coding(key.removeprefix(MAP))] = tuple(_coding(part) for part in value.split(","))
    return mapped


def _coding(text: str) -> tuple[str, str]:
    system, found, code = text.strip().rpartition("|")
    if not found or not code:
        raise BadInput(f"{text!r} is not SYSTEM|CODE")
    return system, code
