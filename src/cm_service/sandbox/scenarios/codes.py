"""Code systems of the panel, and the displays of the codes that it uses (our own short wording)."""

from __future__ import annotations

from cm_service.sandbox.wire import Resource

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
DISPOSITION = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
NUBC = "https://www.nubc.org/CodeSystem/PatDischargeStatus"
NUBC_OLD = "http://www.nubc.org/patient-discharge"
PRIORITY = "http://terminology.hl7.org/CodeSystem/v3-ActPriority"

_DISPLAYS = {
    "E11.9": "Type 2 diabetes",
    "E11.65": "Type 2 diabetes with high blood sugar",
    "E11.A": "Type 2 diabetes in remission",
    "E78.5": "High blood fats",
    "F02.80": "Dementia in another disease",
    "F33.1": "Recurrent depression, moderate",
    "G30.9": "Alzheimer's disease",
    "I10": "High blood pressure",
    "I13.0": "Heart and kidney disease from high blood pressure, with heart failure",
    "I25.10": "Coronary heart disease",
    "I50.22": "Chronic systolic heart failure",
    "I50.9": "Heart failure",
    "J44.9": "COPD",
    "J45.909": "Asthma",
    "C61": "Prostate cancer",
    "M17.0": "Osteoarthritis of both knees",
    "N18.30": "Chronic kidney disease, stage 3",
    "R73.03": "Prediabetes",
    "Z85.3": "Breast cancer in the past",
    "44054006": "Type 2 diabetes",
    "59621000": "Essential hypertension",
    "40930008": "Hypothyroidism",
    "55822004": "Hyperlipidemia",
    "73595000": "Stress",
    "77386006": "Pregnant",
    "160734000": "Lives in nursing home",
    "449411000124106": "Admission to skilled nursing facility",
    "32485007": "Hospital admission",
    "305336008": "Admission to hospice",
    "385763009": "Hospice care",
    "4548-4": "Hemoglobin A1c/Hemoglobin.total in Blood",
    "59261-8": "Hemoglobin A1c/Hemoglobin.total in Blood by IFCC protocol",
    "71802-3": "Housing status",
    "59284-0": "Consent document",
    "85354-9": "Blood pressure panel",
    "8480-6": "Systolic blood pressure",
    "8462-4": "Diastolic blood pressure",
}


def coded(system: str, code: str) -> Resource:
    """A Coding, with a display where we have one."""
    display = {"display": _DISPLAYS[code]} if code in _DISPLAYS else {}
    return {"system": system, "code": code, **display}


def concept(system: str, code: str) -> Resource:
    """A CodeableConcept of one coding."""
    return {"coding": [coded(system, code)]}
