"""What attackers, broken EMRs and slow networks do to our CDS services: 4-F01 to 4-F31."""

from __future__ import annotations

import copy
import itertools
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from cm_service.api.cds import cards, opinion, routes
from cm_service.api.metrics import REGISTRY
from cm_service.db import connections, doors
from cm_service.db.door_tables import CdsFeedback
from tests.api.chart_world import VIEW, Chart, bundle, prefetch, registered, with_token
from tests.api.door_world import BASE, NOW, Machine, add_emr
from tests.api.practice_world import OpenPractice
from tests.flow.night_world import a1c

PATH = f"/cds-services/{VIEW}"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """For calls that leave nothing behind."""
    return Chart(OpenPractice(tmp_path_factory.mktemp("chart")))


@pytest.fixture
def chart(tmp_path: Path) -> Iterator[Chart]:
    yield Chart(OpenPractice(tmp_path))


def refused(answer: httpx.Response) -> None:
    assert answer.status_code == 401, answer.text
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "cards" not in answer.json()


def claims(chart: Chart, **changes: Any) -> Json:
    return chart.signer.claims(now=chart.practice.doors.now, aud=f"{BASE}{PATH}", **changes)


def counted(why: str) -> float:
    return REGISTRY.get_sample_value("cm_cds_empty_total", {"service": VIEW, "why": why}) or 0.0


# --- what is asked


@pytest.mark.parametrize(
    "changes",
    [
        {"hook": "order-sign"},  # 4-F14
        {"hook": None},
        {"hookInstance": None},  # 4-F16
        {"hookInstance": "1"},
        {"hookInstance": 1},
        {"hookInstance": "{d1577c69-dfbe-44ad-ba6d-3e05e953b2ea}"},
        {"context": None},
        {"context": []},
        {"context": {"userId": "Practitioner/n"}},
        {"context": {"userId": "Practitioner/n", "patientId": 1}},
        {"context": {"userId": "Practitioner/n", "patientId": "../p1"}},
        {"context": {"userId": "Practitioner/n", "patientId": "p1\n"}},
        {"context": {"userId": "n", "patientId": "p1"}},
        {"context": {"userId": "Practitioner/n\0", "patientId": "p1"}},
        {"prefetch": []},
        {"prefetch": "x"},
    ],
    ids=lambda changes: f"4-F14-F16 {changes}"[:60],
)
def test_4_f14_a_call_that_is_none_is_400(shared: Chart, changes: Json) -> None:
    answer = shared.call(body=shared.body(**changes))
    assert answer.status_code == 400, answer.text
    assert "p1" not in answer.text


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'"x"', b"[" * 10_000, b"\xff\xfe", b"1" * 5_000])
def test_4_f14_a_body_that_is_no_object_is_400(shared: Chart, raw: bytes) -> None:
    headers = {"Authorization": f"Bearer {shared.token(PATH)}"}
    assert shared.practice.doors.http.post(PATH, content=raw, headers=headers).status_code == 400


def test_4_f15_an_unknown_service_is_404(shared: Chart) -> None:
    assert shared.call("nothing").status_code == 404
    headers = {"Authorization": f"Bearer {shared.token('/cds-services/nothing/feedback')}"}
    answer = shared.practice.doors.http.post("/cds-services/nothing/feedback", json={}, headers=headers)
    assert answer.status_code == 404


def test_4_f16_the_same_hook_instance_again_gives_the_same_cards_and_changes_nothing(chart: Chart) -> None:
    body = chart.body()
    before = len(chart.practice.emr.written())
    answers = [chart.call(body=body).json()["cards"] for _ in range(2)]
    said = [[{k: v for k, v in card.items() if k != "uuid"} for card in each] for each in answers]
    assert said[0] == said[1] and said[0]
    assert len(chart.practice.emr.written()) == before
    ledger = chart.practice.call("GET", "/v1/emrs/clinic/ledger").json()["items"]
    assert len({(item["kind"], item["code"], item["rule"]) for item in ledger}) == len(ledger)


@pytest.mark.parametrize("key", ["patient", "conditions", "encounters", "hba1c"])
def test_4_f17_another_patients_prefetch_is_refused(shared: Chart, key: str) -> None:
    mixed = {**prefetch("p1"), key: prefetch("p2")[key]}
    if key == "encounters":
        mixed[key] = bundle({"resourceType": "Encounter", "id": "e", "subject": {"reference": "Patient/p2"}})
    answer = shared.call(body=shared.body(prefetch=mixed))
    assert answer.status_code == 400 and "another patient" in answer.text


def test_4_f17_another_encounter_than_the_contexts_is_refused(shared: Chart) -> None:
    other = {"resourceType": "Encounter", "id": "other", "subject": {"reference": "Patient/p1"}}
    body = shared.body("encounter-discharge", prefetch={**prefetch("p1"), "encounter": other})
    assert shared.call("cm-encounter-discharge", body).status_code == 400


GRANTED = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "", "subject": "x"}


class Emr:
    """Another server: it counts calls and answers after `seconds`."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.calls, self.seconds, self.base = 0, seconds, ""

    def __enter__(self) -> Emr:
        emr = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                emr.calls += 1
                time.sleep(emr.seconds)
                self.send_response(404)
                self.end_headers()

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}/fhir"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_4_f18_a_server_that_is_not_the_registered_base_is_never_called(shared: Chart) -> None:
    with Emr() as attacker:
        for base in (attacker.base, f"{attacker.base}/", attacker.base.replace("127.0.0.1", "localhost")):
            body = shared.body(prefetch=None, fhirServer=base, fhirAuthorization=GRANTED)
            assert shared.call(body=body).status_code == 412
        assert attacker.calls == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_in": 0},
        {"expires_in": -1},
        {"access_token": ""},
        {"access_token": None},
        {"access_token": "a b"},
        {"access_token": "a\r\nX-Evil: 1"},
        {"patient": "p2"},
        {"patient": 1},
    ],
    ids=lambda changes: f"4-F19 {changes}",
)
def test_4_f19_a_token_that_is_over_or_for_somebody_else_is_not_used(shared: Chart, changes: Json) -> None:
    with shared.practice.doors.store.read() as connection:
        base = connections.get_emr(connection, "clinic").base_url
    with Emr() as emr:
        registered(shared, base_url=emr.base)
        body = shared.body(prefetch=None, fhirServer=emr.base, fhirAuthorization={**GRANTED, **changes})
        try:
            answer = shared.call(body=body)
        finally:
            registered(shared, base_url=base)
        assert answer.status_code == 412 and emr.calls == 0


# --- what came along


def test_4_f20_a_key_that_is_absent_an_outcome_or_half_a_page_is_not_known(shared: Chart) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    next_page = {**prefetch("p9")["conditions"], "link": [{"relation": "next", "url": "x"}]}
    for odd in (outcome, next_page, "x", [], 5):
        sent = {**prefetch("p9"), "conditions": odd}
        (card,) = shared.call(body=shared.body(patient="p9", prefetch=sent)).json()["cards"]
        assert "Cannot be told" in card["detail"], odd
    absent = {key: value for key, value in prefetch("p9").items() if key != "conditions"}
    (card,) = shared.call(body=shared.body(patient="p9", prefetch=absent)).json()["cards"]
    assert "Cannot be told" in card["detail"]


def test_4_f20_null_is_no_data(shared: Chart) -> None:
    nothing = {"patient": prefetch("p9")["patient"], "conditions": None, "encounters": None, "hba1c": None}
    assert shared.call(body=shared.body(patient="p9", prefetch=nothing)).json() == {"cards": []}


def test_4_f20_the_patient_as_an_outcome_is_412(shared: Chart) -> None:
    sent = {**prefetch("p9"), "patient": {"resourceType": "OperationOutcome", "issue": []}}
    assert shared.call(body=shared.body(patient="p9", prefetch=sent)).status_code == 412


def test_4_f20_five_megabytes_are_too_much(shared: Chart) -> None:
    body = shared.body(prefetch={"patient": {"resourceType": "Patient", "id": "p1", "x": "0" * 5_000_000}})
    assert shared.call(body=body).status_code == 413


def test_4_f21_fewer_rows_than_the_server_counts_are_not_all(shared: Chart) -> None:
    sent = prefetch("p9")
    sent["conditions"] = {**sent["conditions"], "total": 300}
    (card,) = shared.call(body=shared.body(patient="p9", prefetch=sent)).json()["cards"]
    assert "Cannot be told" in card["detail"]


ODD_CHARTS: dict[str, Callable[[Json], Any]] = {
    "4-F22 no zone": lambda one: one.update(effectiveDateTime="2026-11-10T08:00:00"),
    "4-F22 a year": lambda one: one.update(effectiveDateTime="2026"),
    "4-F22 no date": lambda one: one.update(effectiveDateTime="yesterday"),
    "4-F23 DSTU2 quantity": lambda one: one.update(valueQuantity={"value": "8.6", "units": "%"}),
    "4-F23 status missing": lambda one: one.pop("status"),
    "4-F23 code as text": lambda one: one.update(code="4548-4"),
    "4-F23 coding as object": lambda one: one.update(code={"coding": {"code": "4548-4"}}),
    "4-F23 subject as list": lambda one: one.update(subject=[one["subject"]]),
    "4-F23 id as number": lambda one: one.update(id=7),
    "4-F23 everything null": lambda one: one.update(dict.fromkeys(list(one)[2:])),
}


@pytest.mark.parametrize("name", ODD_CHARTS)
def test_4_f22_f23_odd_rows_are_an_answer_and_no_error(shared: Chart, name: str) -> None:
    failed = counted("error")
    one = copy.deepcopy(a1c(8.6, "p9"))
    ODD_CHARTS[name](one)
    sent = {**prefetch("p9"), "hba1c": bundle(one)}
    answer = shared.call(body=shared.body(patient="p9", prefetch=sent))
    assert answer.status_code == 200, answer.text
    assert counted("error") == failed


def test_4_f24_fifty_charts_at_once_are_all_answered(chart: Chart) -> None:
    with chart.practice.doors.http, ThreadPoolExecutor(50) as many:
        answers = list(many.map(lambda _: chart.call(), range(50)))
    assert {answer.status_code for answer in answers} == {200}


def test_4_f25_a_slow_emr_costs_half_a_second_and_the_cards(chart: Chart) -> None:
    before = counted("deadline")
    with Emr(seconds=3) as slow:
        registered(chart, base_url=slow.base)
        body = chart.body(prefetch=None, fhirServer=slow.base, fhirAuthorization=GRANTED)
        began = time.perf_counter()
        answer = chart.call(body=body)
        assert time.perf_counter() - began < 2.5
    assert answer.json() == {"cards": []} and counted("deadline") == before + 1


def test_4_f25_slow_rules_are_left_behind_at_the_deadline(
    chart: Chart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object) -> list[Json]:
        time.sleep(3)
        return [{"summary": "too late"}]

    monkeypatch.setattr(opinion, "cards_for", slow)
    with chart.practice.doors.http as http:  # one loop: whoever is left behind holds nobody up
        began = time.perf_counter()
        headers = {"Authorization": f"Bearer {chart.token(PATH)}"}
        answer = http.post(PATH, json=chart.body(), headers=headers)
        assert time.perf_counter() - began < 2
    assert answer.json() == {"cards": []}


def test_4_f26_a_fault_in_a_rule_gives_no_cards_and_is_counted(
    chart: Chart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> list[Any]:
        raise ZeroDivisionError("Ada Lovelace, 8.6 %")

    monkeypatch.setattr(opinion, "evaluate_patient", broken)
    before = counted("error")
    answer = chart.call()
    assert (answer.status_code, answer.json()) == (200, {"cards": []})
    assert counted("error") == before + 1


def test_4_f27_what_a_chart_says_is_never_markup() -> None:
    evil = "<img src=x onerror=alert(1)> [click](https://attacker.example) **bold** `x`\n# title\n- item"
    row = SimpleNamespace(tasks=[{"text": evil}], status="candidate", urgency=3, care_manager="")
    (card,) = cards.status(row, [], public_url=BASE)
    (line,) = card["detail"].removeprefix("- ").split("\n")
    bare = re.sub(r"\\[^A-Za-z0-9\s]", "", line)
    assert not set(bare) & set("<>[]()*_`#&!|~\\"), bare


def test_4_f28_there_is_nothing_to_apply_twice(shared: Chart) -> None:
    for service, hook in ((VIEW, "patient-view"), ("cm-appointment-book", "appointment-book")):
        answer = shared.call(service, shared.body(hook)).json()
        assert "systemActions" not in answer
        assert all("suggestions" not in card for card in answer["cards"])


def test_4_f31_a_card_has_no_field_that_the_specification_does_not_name(shared: Chart) -> None:
    known = {"uuid", "summary", "detail", "indicator", "source", "links"}
    answers = [
        shared.call(service, shared.body(hook)).json()
        for service, hook in (
            (VIEW, "patient-view"),
            ("cm-appointment-book", "appointment-book"),
            ("cm-encounter-discharge", "encounter-discharge"),
        )
    ]
    for answer in answers:
        assert set(answer) == {"cards"}
        for card in answer["cards"]:
            assert set(card) <= known and len(card["summary"]) < 140
            assert set(card["source"]) == {"label"}
            assert all(set(link) == {"label", "url", "type"} for link in card["links"])
            assert _no_empties(card)


def _no_empties(value: Any) -> bool:
    """CH-4."""
    if isinstance(value, dict):
        return bool(value) and all(_no_empties(each) for each in value.values())
    if isinstance(value, list):
        return bool(value) and all(_no_empties(each) for each in value)
    return value not in (None, "")


# --- feedback


def feed(chart: Chart, *items: Any, body: Any = None) -> httpx.Response:
    path = f"{PATH}/feedback"
    return with_token(chart, chart.token(path), path=path, body=body or {"feedback": list(items)})


_cards = itertools.count(1)  # not drawn: they stand in the names of tests


def item(**changes: Any) -> Json:
    card = str(uuid.UUID(int=next(_cards)))
    usual = {"card": card, "outcome": "overridden", "outcomeTimestamp": NOW.isoformat()}
    return {name: value for name, value in (usual | changes).items() if value is not None}


def kept(chart: Chart) -> list[Any]:
    import sqlalchemy as sa

    with chart.practice.doors.database.read() as connection:
        return list(connection.execute(sa.select(CdsFeedback.__table__)))


def test_4_f29_feedback_on_another_emrs_card_is_kept_apart(chart: Chart) -> None:
    add_emr(chart.practice.doors, "other", base_url="http://127.0.0.1:9/other")
    other = Machine("https://other.example")
    with chart.practice.doors.store.write() as connection:
        connections.update_emr(connection, "other", cds_issuer=other.id, cds_jwks=other.jwks)
    one = item()
    assert feed(chart, one).status_code == 200
    path = f"{PATH}/feedback"
    token = other.assertion(now=chart.practice.doors.now, aud=f"{BASE}{path}")
    assert with_token(chart, token, path=path, body={"feedback": [one]}).status_code == 200
    assert sorted(row.emr for row in kept(chart)) == ["clinic", "other"]


def test_4_f30_a_users_words_are_sealed(chart: Chart) -> None:
    reason = {"reason": {"code": "x"}, "userComment": "Ada Lovelace does not want this"}
    assert feed(chart, item(overrideReason=reason), item(outcome="accepted")).status_code == 200
    said = [row.said for row in kept(chart)]
    assert not any("Lovelace" in each for each in said)
    opened = [chart.practice.doors.app.state.doorway.sealer.open(each) for each in said if each]
    assert "Ada Lovelace" in opened[0]
    on_disk = b"".join(path.read_bytes() for path in _files(chart))
    assert b"Lovelace" not in on_disk


def _files(chart: Chart) -> list[Path]:
    place = Path(str(chart.practice.doors.database.engine.url.database))
    return sorted(place.parent.glob(f"{place.name}*"))


@pytest.mark.parametrize(
    "body",
    [
        {"feedback": []},
        {"feedback": {}},
        {"x": 1},
        {"feedback": ["x"]},
        {"feedback": [item(card="1")]},
        {"feedback": [item(card=None)]},
        {"feedback": [item(outcome="ignored")]},
        {"feedback": [item(outcome=["accepted"])]},
        {"feedback": [item(outcomeTimestamp="2026-11-20")]},
        {"feedback": [item(outcomeTimestamp=None)]},
        {"feedback": [item()] * 101},
    ],
    ids=lambda body: f"{body}"[:50],
)
def test_feedback_that_is_none_is_400_and_nothing_of_it_is_kept(shared: Chart, body: Json) -> None:
    before = len(kept(shared))
    assert feed(shared, body=body).status_code == 400
    assert len(kept(shared)) == before


def test_every_call_about_a_patient_is_in_the_audit(chart: Chart) -> None:
    chart.call()
    chart.call(body=chart.body(prefetch=None))
    with chart.practice.doors.database.read() as connection:
        lines = doors.audited(connection, patient_id="p1", emr="clinic")
    own = [(line.who, line.action, line.outcome) for line in lines if line.action == VIEW]
    assert own == [("Practitioner/n", VIEW, 412), ("Practitioner/n", VIEW, 200)]


def test_discovery_is_the_same_for_everybody(shared: Chart) -> None:
    http = shared.practice.doors.http
    assert (
        http.get("/cds-services").json()
        == http.get("/cds-services", headers={"Authorization": "Bearer nonsense"}).json()
    )
    assert http.post("/cds-services/").status_code in (404, 405)
    assert routes.DEADLINE_SECONDS <= 0.5
