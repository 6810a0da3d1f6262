"""Doors over a practice that had its night: a sandbox EMR, decisions, tasks, one client that may do all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from cm_service.flow.nightly import NightOptions, night
from cm_service.sandbox.store import Store
from tests.api.door_world import NOW, Doors, Machine, add_emr, bearer, open_doors, register
from tests.flow.night_world import condition, emr_with, out_of_range

PATIENT = [*out_of_range(), condition("bp", "I10")]


class OpenPractice:
    """`call` speaks as `machine` with a token that is renewed when it is needed."""

    def __init__(self, folder: Path, resources: list[dict[str, Any]] | None = None, **settings: Any) -> None:
        self.emr: Store
        self.emr, base_url = emr_with(PATIENT if resources is None else resources)
        self.doors: Doors = open_doors(folder, **settings)
        add_emr(self.doors, "clinic", base_url=base_url)
        self.machine = register(self.doors, Machine("nurse-app"))
        self.night()
        self.headers = bearer(self.doors, self.machine)

    def night(self) -> dict[str, Any]:
        self.emr.clock = lambda: self.doors.now
        tools = self.doors.app.state.doorway.tools
        options = NightOptions(as_of=self.doors.now, max_new=None)
        return night(tools, "clinic", options, lambda _text: None)

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        return self.doors.http.request(method, path, headers=headers, **more)

    def act(self, what: str, body: dict[str, Any], *, patient: str = "p1") -> dict[str, Any]:
        answer = self.call("POST", f"/v1/emrs/clinic/patients/{patient}/{what}", json=body)
        assert answer.status_code == 201, answer.text
        done: dict[str, Any] = answer.json()
        return done


__all__ = ["NOW", "OpenPractice"]
