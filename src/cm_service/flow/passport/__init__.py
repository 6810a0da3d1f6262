"""The capability passport: what each EMR promises, and what it was seen to do."""

from cm_service.flow.passport.examine import Examination, examination, profile_of
from cm_service.flow.passport.own import FreshWrites
from cm_service.flow.passport.proofs import note, note_pull
from cm_service.flow.passport.standing import Passport, Standing, State, load
from cm_service.flow.passport.stays import last_stay, newest_stay, note_stays
from cm_service.flow.passport.told import told, warnings

__all__ = [
    "Examination",
    "FreshWrites",
    "Passport",
    "Standing",
    "State",
    "examination",
    "last_stay",
    "load",
    "newest_stay",
    "note",
    "note_pull",
    "note_stays",
    "profile_of",
    "told",
    "warnings",
]
