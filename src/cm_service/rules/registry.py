"""Every rule, in the order in which decisions are listed, and what identifies the whole set."""

from __future__ import annotations

from hashlib import sha256

from cm_service.rules import value_sets
from cm_service.rules.decision import Rule
from cm_service.rules.programs import (
    a1c_nodx,
    a1c_out,
    a1c_overdue,
    chr_multi,
    dis_ama,
    dis_readmit,
    dis_snf,
    dis_tcm,
    ed_fu,
    ed_overuse,
)

RULES: tuple[Rule, ...] = (
    a1c_out.RULE,
    a1c_overdue.RULE,
    a1c_nodx.RULE,
    dis_tcm.RULE,
    dis_ama.RULE,
    dis_snf.RULE,
    dis_readmit.RULE,
    ed_fu.RULE,
    ed_overuse.RULE,
    chr_multi.RULE,
)

BY_ID = {rule.id: rule for rule in RULES}


def fingerprint() -> str:
    """Changes when any rule version or code set changes: then every patient is due again."""
    text = ";".join(f"{rule.id}={rule.version}" for rule in RULES) + value_sets.VERSION
    return sha256(text.encode()).hexdigest()[:16]
