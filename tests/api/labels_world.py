"""A practice some of whose records are under labels, each with a mark that must not be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cm_service.rules.confidential import ACT_CODE, CONFIDENTIALITY
from tests.api.door_world import Machine, bearer, register
from tests.api.practice_world import OpenPractice
from tests.flow.night_world import a1c, condition, diabetes, out_of_range, patient, stay

R, V, PART_2 = f"{CONFIDENTIALITY}|R", f"{CONFIDENTIALITY}|V", f"{ACT_CODE}|42CFRPart2"
EVERY_LABEL = (R, V, PART_2)
MARKS = ("secret", "13.7", "Zoe", "hid-3")  # ids, a value, a name, a patient's id


def under(label: str) -> dict[str, Any]:
    system, _, code = label.rpartition("|")
    return {"meta": {"security": [{"system": system, "code": code}]}}


WORLD = [
    *out_of_range(),
    condition("bp", "I10", **under(f"{CONFIDENTIALITY}|N")),
    # p2: the value is restricted; without it the last result is missing.
    patient("p2"),
    diabetes("p2"),
    a1c(13.7, "p2", "p2-secret-a1c", **under(R)),
    # hid-3: the person as such is very restricted.
    patient("hid-3", name=[{"text": "Zoe Hidden"}], **under(V)),
    condition("h3-dm", "E11.9", "hid-3"),
    a1c(9.1, "hid-3"),
    # p4: a treated addiction makes the second chronic condition; the stay is part of it.
    patient("p4"),
    condition("p4-bp", "I10", "p4"),
    condition("p4-secret-f11", "F11.20", "p4", **under(PART_2)),
    stay("p4-secret-stay", "p4", **under(PART_2)),
]


def scope_for(*labels: str) -> str:
    return " ".join(("system/*.cruds", *(f"system/*.cruds?_security={label}" for label in labels)))


class Labelled(OpenPractice):
    """`plain` may do all without labels, `cleared` under every label, too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, WORLD)
        self.plain = self.headers
        self.cleared = self.client("cleared", *EVERY_LABEL)

    def client(self, name: str, *labels: str) -> dict[str, str]:
        scope = scope_for(*labels)
        return bearer(self.doors, register(self.doors, Machine(name), scope=scope), scope=scope)


def marks(text: str) -> list[str]:
    return [mark for mark in MARKS if mark in text]
