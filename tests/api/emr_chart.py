"""A patient's chart in an EMR, as plain as can be: who it is, problems, last results, and our button."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from cm_service.sandbox.store import Store

_LOOK = """body { margin: 0; font: 15px system-ui, sans-serif; background: #eef1f4; color: #222 }
header { background: #37474f; color: #fff; padding: 10px 16px }
header b { font-size: 18px } header span { margin-left: 16px; color: #cfd8dc }
nav { background: #dfe5ea; padding: 6px 16px } nav button { font: inherit; padding: 4px 12px }
#summary { display: flex; gap: 16px; padding: 16px }
#summary div { background: #fff; padding: 8px 16px; flex: 1 }
[hidden] { display: none !important }
iframe { width: 100%; height: calc(100vh - 84px); border: 0; background: #fff; display: block }"""
_SCRIPT = """function show(source) { document.getElementById("summary").hidden = true;
const frame = document.createElement("iframe"); frame.name = "app"; frame.title = "Care management";
frame.src = source; document.body.append(frame); }"""
_MOST = 6


def chart_of(store: Store, patient: str, launch: str) -> str:
    """`launch` is what the button *Care management* opens in the frame."""
    who = _held(store, "Patient", patient)
    name = who["name"][0]
    said = f"{' '.join(name['given'])} {name['family']}"
    problems = [_words(each) for each in _of(store, "Condition", patient)][:_MOST]
    values = (each for each in _of(store, "Observation", patient) if "valueQuantity" in each)
    results = [_result(each) for each in values][:_MOST]
    return (
        f"<!doctype html><html lang=en><title>Chart</title><style>{_LOOK}"
        f"</style><script>{_SCRIPT}</script><header><b>{escape(said)}</b><span>born {who['birthDate']}</span>"
        f"<span>invented patient {escape(patient)}</span></header>"
        f'<nav><button>Summary</button> <button onclick="show(this.dataset.src)" data-src="{escape(launch)}">'
        "Care management</button></nav>"
        f"<main id=summary><div><h3>Problems</h3>{_list(problems)}</div><div><h3>Results</h3>{_list(results)}"
        "</div></main>"
    )


def _list(lines: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _held(store: Store, kind: str, id_: str) -> dict[str, Any]:
    version = store.current(kind, id_)
    assert version is not None and version.resource is not None
    return version.resource


def _of(store: Store, kind: str, patient: str) -> Iterator[dict[str, Any]]:
    versions = store.of_patient(kind, f"Patient/{patient}")
    return (version.resource for version in versions if version.resource is not None)


def _words(resource: dict[str, Any]) -> str:
    code = resource["code"]
    first = (code.get("coding") or [{}])[0]
    return str(code.get("text") or first.get("display") or first.get("code"))


def _result(resource: dict[str, Any]) -> str:
    quantity = resource.get("valueQuantity") or {}
    day = str(resource.get("effectiveDateTime") or "")[:10]
    return f"{_words(resource)}: {quantity.get('value', '')} {quantity.get('unit', '')}, {day}"
