"""The closed lists of words that acts take, and the codes that stand for them in FHIR."""

from __future__ import annotations

from typing import NamedTuple

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PARTICIPATION_MODE = "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode"


class Medium(NamedTuple):
    """Class of the Encounter that a two-way contact is, and the way a message went (rules.md 6.9)."""

    encounter_class: str
    mode: str
    words: str


MEDIA = {
    "phone": Medium("VR", "PHONE", "telephone"),
    "video": Medium("VR", "VIDEOCONF", "video"),
    "office": Medium("AMB", "FACE", "in person at the practice"),
    "home": Medium("HH", "FACE", "in person at home"),
    "portal": Medium("VR", "EMAILWRIT", "portal message"),
    "sms": Medium("VR", "SMSWRIT", "text message"),
}
SERVICES = {
    "outreach": "outreach",
    "post-discharge": "post-discharge contact",
    "follow-up": "follow-up",
    "assessment": "assessment",
    "education": "education and self-management support",
    "medication": "medication reconciliation",
    "coordination": "coordination with other providers",
}
CONSENT_FORMS = ("verbal", "written")
TASK_OUTCOMES = {
    "reached": ("completed", "Reached"),
    "done": ("completed", "Done"),
    "attempted": ("failed", "Attempted, not reached"),
    "declined": ("rejected", "The patient declined"),
    "not-needed": ("cancelled", "Not needed"),
    "wrong-data": ("rejected", "Wrong patient data"),
}
# reason -> (CarePlan.status, Goal.lifecycleStatus of agreed goals, words)
CLOSURES = {
    "goals-met": ("completed", "completed", "Goals met"),
    "lost-to-follow-up": ("revoked", "cancelled", "Lost to follow-up"),
    "declined": ("revoked", "cancelled", "Patient declined to go on"),
    "moved": ("revoked", "cancelled", "Moved to another practice"),
    "died": ("revoked", "cancelled", "Patient died"),
}
# rules.md 8, closure: failed contacts on so many days within so many days make "lost" possible.
LOST_ATTEMPT_DAYS, LOST_WINDOW_DAYS = 3, 30
