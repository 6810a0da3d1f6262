"""Every fault that a landing file can have: quarantined with its place, nothing else lost."""

from __future__ import annotations

import gzip
import json
import resource
from pathlib import Path

import pytest

from cm_service.errors import NothingToRead
from cm_service.flow.normalise import OWNED
from tests.cases.fhir_json import a1c, condition, encounter, patient
from tests.flow.reading import Json, Line, Read, put, read, text_of

RESULT = a1c(7.0, id="good")
CUT = json.dumps(a1c(9.9, id="cut"))[:-30]


def results(folder: Path, *lines: Line, end: bytes = b"\n", **settings: int) -> Read:
    """A folder with one Patient and these lines as Observations."""
    put(folder, "Patient.ndjson", [patient()])
    put(folder, "Observation.ndjson", lines, end)
    return read(folder, **settings)


def ids(found: Read) -> set[str]:
    return {
        key.removeprefix("Observation/") for key in found.patients["p1"] if key.startswith("Observation/")
    }


FAULTS: dict[str, tuple[Line, str, str | None]] = {
    "a cut line": (CUT, "malformed_json", "p1"),
    "a line that was cut before its patient": (
        '{"resourceType":"Observation","id":"x"',
        "malformed_json",
        None,
    ),
    "an HTML page": ("<html><body>Please log in</body></html>", "malformed_json", None),
    "two resources on one line": (text_of(RESULT) * 2, "malformed_json", "p1"),
    "a trailing comma": (json.dumps(a1c(9.9, id="x"))[:-1] + ",}", "malformed_json", "p1"),
    "no UTF-8": (text_of(a1c(9.9, id="x", note="?")).replace(b"?", b"\xff\xfe"), "not_utf8", "p1"),
    "a byte that JSON forbids": (text_of(a1c(9.9, id="a?b")).replace(b"?", b"\x01"), "malformed_json", None),
    "another type than the file promises": (condition("I10"), "wrong_type", "p1"),
    "a type that FHIR does not know": ({**RESULT, "resourceType": "Result"}, "wrong_type", "p1"),
    "no resourceType": ({"id": "x", "subject": {"reference": "Patient/p1"}}, "wrong_type", "p1"),
    "a Bundle within NDJSON": ({"resourceType": "Bundle", "entry": []}, "wrong_type", None),
    "a number": ("5", "wrong_type", None),
    "no id": (a1c(9.9, id=None), "no_id", "p1"),
    "an id that is no id": (a1c(9.9, id="a b"), "no_id", "p1"),
    "no subject": (a1c(9.9, id="x", subject=None), "no_subject", None),
    "a subject without reference": (a1c(9.9, id="x", subject={"display": "Somebody"}), "no_subject", None),
    "a contained subject": (a1c(9.9, id="x", subject={"reference": "#p1"}), "no_subject", None),
    "an id that stands twice": (text_of(a1c(9.9, id="x"))[:-1] + b',"id":"y"}', "duplicate_key", "p1"),
    "a status that stands twice": (
        text_of(a1c(9.9, id="x"))[:-1] + b',"status":"final"}',
        "duplicate_key",
        "p1",
    ),
    "a reference that names two patients": (
        text_of(a1c(9.9, id="x")).replace(b'"Patient/p1"', b'"Patient/p1","reference":"Patient/p2"'),
        "duplicate_key",
        "p1",
    ),
    "an element of the wrong shape": (a1c(9.9, id="x", status=["final"]), "not_fhir", "p1"),
}


@pytest.mark.parametrize(("line", "reason", "patient_id"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_line_is_quarantined_with_its_place(
    tmp_path: Path, line: Line, reason: str, patient_id: str | None
) -> None:
    found = results(tmp_path, RESULT, "", line, a1c(6.0, id="after"))
    assert found.reasons == [("Observation.ndjson", 3, reason)]
    assert ids(found) == {"good", "after"}
    held = found.reading.holes
    assert held.keys() == ({patient_id} if patient_id else set())
    assert all("Observation" in types for types in held.values())


def test_a_reference_to_another_server_is_a_hole(tmp_path: Path) -> None:
    line = a1c(9.9, id="x", subject={"reference": "https://other.example/fhir/Patient/p1"})
    put(tmp_path, "Patient.ndjson", [patient()])
    put(tmp_path, "Observation.ndjson", [RESULT, line])
    found = read(tmp_path, base_url="https://emr.example/fhir")
    assert found.reasons == [("Observation.ndjson", 2, "foreign_reference")]
    assert ids(found) == {"good"}


def test_the_wrong_type_leaves_open_both_what_was_promised_and_what_came(tmp_path: Path) -> None:
    found = results(tmp_path, condition("I10"))
    assert found.reading.holes == {"p1": frozenset({"Observation", "Condition"})}


def test_a_broken_patient_is_a_hole_of_that_patient(tmp_path: Path) -> None:
    put(tmp_path, "Patient.ndjson", [json.dumps(patient("p9"))[:-5]])
    assert read(tmp_path).reading.holes == {"p9": frozenset({"Patient"})}


def test_a_broken_line_of_unknown_type_leaves_every_type_open(tmp_path: Path) -> None:
    put(tmp_path, "export.ndjson", ['{"a":{"reference":"Patient/p1"},'])
    assert read(tmp_path).reading.holes == {"p1": frozenset(OWNED)}


def test_a_line_that_names_two_patients_leaves_nobody_open(tmp_path: Path) -> None:
    put(tmp_path, "export.ndjson", ['{"a":{"reference":"Patient/p1"},"b":{"reference":"Patient/p2"},'])
    assert read(tmp_path).reading.holes == {}


def test_equal_faulty_lines_stand_at_their_own_places(tmp_path: Path) -> None:
    found = results(tmp_path, CUT, RESULT, CUT, end=b"\r\n")
    assert [line for _, line, _ in found.reasons] == [1, 3]


# --- what is odd and yet fine


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n\n", b" \t\n", b"\r\n  \r\n"])
def test_line_endings_and_blank_lines_do_not_matter(tmp_path: Path, end: bytes) -> None:
    found = results(tmp_path, RESULT, a1c(6.0, id="b"), end=end)
    assert (ids(found), found.reasons) == ({"good", "b"}, [])


def test_a_last_line_without_newline_is_read(tmp_path: Path) -> None:
    found = results(tmp_path, text_of(RESULT) + b"\n" + text_of(a1c(6.0, id="last")), end=b"")
    assert ids(found) == {"good", "last"}


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    assert results(tmp_path, b"\xef\xbb\xbf" + text_of(RESULT)).reasons == []
    found = results(tmp_path, b"\xef\xbb\xbf" + CUT.encode())
    assert found.reasons == [("Observation.ndjson", 1, "malformed_json")]


def test_numbers_and_times_at_the_edge_are_read(tmp_path: Path) -> None:
    line = text_of(a1c(7.0, "2026-11-10T23:59:60.123456789-05:00")).replace(b"7.0", b"1.00e400")
    found = results(tmp_path, line)
    fact = found.patients["p1"]["Observation/a1c"]
    assert (fact.reading.why, fact.effective.raw[-16:]) == ("implausible", ".123456789-05:00")  # type: ignore[union-attr]
    assert [reject.is_hole for reject in found.reading.rejects] == [False]


@pytest.mark.parametrize(
    ("name", "zipped"),
    [("Observation.ndjson.gz", True), ("Observation.ndjson", True), ("Observation.ndjson.gz", False)],
)
def test_gzip_is_told_by_its_bytes_and_not_by_its_name(tmp_path: Path, name: str, zipped: bool) -> None:
    text = b"\n".join([text_of(RESULT), CUT.encode(), text_of(a1c(6.0, id="b"))])
    put(tmp_path, "Patient.ndjson", [patient()])
    put(tmp_path, name, [gzip.compress(text) if zipped else text], end=b"")
    found = read(tmp_path)
    assert (ids(found), found.reasons) == ({"good", "b"}, [(name, 2, "malformed_json")])


def test_a_cut_gzip_file_gives_what_it_holds_and_leaves_its_type_unread(tmp_path: Path) -> None:
    lines = b"".join(text_of(a1c(7.0, id=f"o{n}", note=str(n * 7919 % 10007))) + b"\n" for n in range(5000))
    put(tmp_path, "Patient.ndjson", [patient()])
    (tmp_path / "Observation.ndjson.gz").write_bytes(gzip.compress(lines)[:-2000])
    found = read(tmp_path)
    assert "gzip_broken" in {reason for _, _, reason in found.reasons}
    assert found.reading.unread == {"Observation"}
    assert len(ids(found)) > 1000


# --- long lines


def test_a_long_line_is_quarantined_and_stops_nothing(tmp_path: Path) -> None:
    long = a1c(9.9, id="long", note="x" * 5000)
    found = results(tmp_path, RESULT, long, a1c(6.0, id="b"), limit=2000)
    assert found.reasons == [("Observation.ndjson", 2, "line_too_long")]
    assert (ids(found), found.reading.holes) == ({"good", "b"}, {"p1": frozenset({"Observation"})})


@pytest.mark.parametrize("spare", [0, 1])
def test_a_line_of_exactly_the_limit_is_read(tmp_path: Path, spare: int) -> None:
    length = len(text_of(RESULT))
    found = results(tmp_path, RESULT, a1c(1.0, id="x", note="y" * 9000), limit=length - spare)
    assert [line for _, line, _ in found.reasons] == ([2] if spare == 0 else [1, 2])


@pytest.mark.parametrize("zipped", [False, True])
def test_a_line_of_50_mb_neither_breaks_the_scan_nor_fills_the_memory(tmp_path: Path, zipped: bool) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = tmp_path / "Observation.ndjson"
    good = text_of(RESULT)
    with gzip.open(path, "wb", compresslevel=1) if zipped else path.open("wb") as out:
        out.write(good + b"\n" + good[:-1] + b',"note":"')
        for _ in range(50):
            out.write(b"x" * 1_000_000)
        out.write(b'"}\n' + text_of(a1c(6.0, id="after")) + b"\n")
    put(tmp_path, "Patient.ndjson", [patient()])
    found = read(tmp_path)
    assert found.reasons == [("Observation.ndjson", 2, "line_too_long")]
    assert (ids(found), found.reading.holes) == ({"good", "after"}, {"p1": frozenset({"Observation"})})
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 400_000  # KiB; the line itself never stands in memory whole


# --- folders


@pytest.mark.parametrize("files", [[], ["notes.txt"], ["manifest.json"], [".Patient.ndjson"]])
def test_a_folder_without_input_is_no_empty_night(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        put(tmp_path, name, ["{}"])
    with pytest.raises(NothingToRead):
        read(tmp_path)


def test_a_missing_folder_is_no_empty_night(tmp_path: Path) -> None:
    with pytest.raises(NothingToRead):
        read(tmp_path / "nowhere")


def test_our_own_manifest_is_no_input(tmp_path: Path) -> None:
    put(tmp_path, "manifest.json", ['{"emr":"x"}'])
    assert results(tmp_path, RESULT).reasons == []


def test_facts_of_somebody_without_a_patient_are_handed_out_and_named(tmp_path: Path) -> None:
    stranger = encounter("e1", "AMB", "2026-01-01", subject={"reference": "Patient/p2"})
    put(tmp_path, "Encounter.ndjson", [stranger])
    found = results(tmp_path, RESULT)
    assert found.patients.keys() == {"p1", "p2"}
    assert found.reading.without_patient == {"p2"}


def test_no_reject_tells_more_than_ids_and_places(tmp_path: Path) -> None:
    secret: Json = a1c(9.9, id="x", note=[{"text": "Secret Name"}], status=["Secret"])
    found = results(tmp_path, secret, json.dumps(secret)[:-9], a1c("Secret", id="y"))
    assert len(found.reasons) == 3
    assert "Secret" not in repr(found.reading.rejects)
