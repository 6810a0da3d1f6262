"""What one Encounter is."""

import pytest

from cm_service.rules.encounters import class_word, disposition, is_stay_class, setting
from cm_service.rules.facts import Coding, Concept, PlaceFact
from tests.rules.builders import ACT_CODE, DISPOSITION, concept, encounter

NUBC = "https://www.nubc.org/CodeSystem/PatDischargeStatus"
ROLE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"


def left(*codings):
    return disposition(encounter("IMP", disposition=Concept(tuple(Coding(*pair) for pair in codings))))


@pytest.mark.parametrize(
    ("type_code", "word"),
    [
        ("32485007", "IMP"),
        ("8715000", "IMP"),
        ("183452005", "IMP"),
        ("448951000124107", "OBSENC"),
        ("4525004", "EMER"),
        ("50849002", "EMER"),
        ("449411000124106", "NONAC"),
        ("308335008", ""),
    ],
)
def test_an_unmapped_class_falls_back_to_the_type(type_code, word):
    local = (Coding("urn:local", "17"),)
    assert class_word(encounter(classes=local, type=type_code)) == word
    assert class_word(encounter(classes=(), type=type_code)) == word
    assert class_word(encounter(classes=(Coding("", "IMP"),), type=type_code)) == word


def test_the_practices_map_goes_before_the_type():
    mapped = (Coding("urn:local", "17"), Coding(ACT_CODE, "AMB"))
    assert class_word(encounter(classes=mapped, type="32485007")) == "AMB"


def test_short_stays_are_stays_only_where_the_practice_says_so_and_pre_admissions_never():
    assert not is_stay_class("SS", short_stay=False)
    assert is_stay_class("SS", short_stay=True)
    assert not is_stay_class("PRENC", short_stay=True)
    assert all(is_stay_class(word, short_stay=False) for word in ("IMP", "ACUTE", "NONAC", "OBSENC"))


@pytest.mark.parametrize("place", ["Organization/o", "Location/l"])
def test_a_place_of_skilled_nursing_makes_an_inpatient_encounter_snf(place):
    held = {place: PlaceFact(id="x", types=(Concept((Coding(ROLE, "SNF"),)),))}
    fact = encounter("IMP", provider="Organization/o", locations=("Location/l",))
    assert setting(fact, "IMP", held) == "snf"
    assert setting(fact, "IMP", {}) == "inpatient"


def test_nonacute_is_snf_by_type_or_mapping_and_otherwise_inpatient():
    mapped = (Coding(ACT_CODE, "NONAC"), Coding(ROLE, "SNF"))
    assert setting(encounter("NONAC", type="449411000124106"), "NONAC", {}) == "snf"
    assert setting(encounter(classes=mapped), "NONAC", {}) == "snf"
    assert setting(encounter("NONAC"), "NONAC", {}) == "inpatient"
    assert setting(encounter("OBSENC", type="449411000124106"), "OBSENC", {}) == "observation"


@pytest.mark.parametrize(
    "system",
    [
        NUBC,
        "http://www.nubc.org/patient-discharge",
        "https://bluebutton.cms.gov/resources/variables/ptnt_dschrg_stus_cd",
        "http://terminology.hl7.org/CodeSystem/v2-0112",
        "urn:oid:2.16.840.1.113883.6.301.5",
    ],
)
def test_nubc_numbers_are_accepted_under_all_their_names_and_padded(system):
    assert left((system, "1")).kind == "community"
    assert left((system, "07")).kind == "ama"
    assert left((system, "3")).kind == "transfer_snf"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("81", "community"),
        ("82", "transfer"),
        ("83", "transfer_snf"),
        ("84", "facility_ltc"),
        ("87", "custody"),
        ("89", "transfer_snf"),
        ("92", "facility_ltc"),
        ("95", "transfer"),
    ],
)
def test_planned_readmission_codes_are_like_their_base_code(code, kind):
    assert left((NUBC, code))[:2] == (kind, True)


@pytest.mark.parametrize(
    ("codings", "kind"),
    [
        ([(DISPOSITION, "home"), (NUBC, "02")], "community"),
        ([(NUBC, "02"), (DISPOSITION, "home")], "community"),
        ([("http://snomed.info/sct", "306701001"), (NUBC, "01")], "community"),
        ([(DISPOSITION, "home"), (NUBC, "20")], "expired"),
        ([(DISPOSITION, "home"), (NUBC, "50")], "hospice"),
        ([(DISPOSITION, "snf"), ("http://snomed.info/sct", "445060000")], "ama"),
        ([(DISPOSITION, "hosp"), (NUBC, "20")], "expired"),
    ],
)
def test_of_conflicting_codings_death_hospice_and_advice_win_then_hl7_nubc_snomed(codings, kind):
    assert left(*codings).kind == kind
    assert left(*codings).flags == ("class_conflict",)


def test_codings_that_agree_do_not_conflict_and_other_says_nothing():
    assert left((DISPOSITION, "home"), (NUBC, "06")).flags == ()
    assert left((DISPOSITION, "oth"), (NUBC, "03"))[:3] == ("transfer_snf", False, ())


def test_an_unmapped_disposition_is_unknown_and_only_an_absent_one_is_missing():
    assert left(("urn:local", "H")).kind == "unknown"
    assert not left(("urn:local", "H")).missing
    assert not left((DISPOSITION, "oth")).missing
    assert not disposition(encounter("IMP", disposition=Concept((), "went home"))).missing
    assert disposition(encounter("IMP")).missing
    assert disposition(encounter("IMP", disposition=Concept())).missing


def test_snomed_dispositions_are_read():
    assert disposition(encounter("IMP", disposition=concept("371828006"))).kind == "expired"
    assert disposition(encounter("IMP", disposition=concept("428361000124107"))).kind == "hospice"
    assert disposition(encounter("IMP", disposition=concept("434781000124105"))).kind == "transfer"
