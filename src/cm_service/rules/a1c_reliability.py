"""What makes an HbA1c unreliable: shown beside the value, never deciding (rules.md 1.8)."""

from __future__ import annotations

from cm_service.rules.clock import Clock
from cm_service.rules.kidney import kidney
from cm_service.rules.pregnancy import pregnancy
from cm_service.rules.statements import Statement, flags_of, statements
from cm_service.rules.view import PatientView

_TRANSFUSION_DAYS = 120
_BLOOD = ("hemolytic_anemia", "sickle_cell")


def reliability_flags(view: PatientView, clock: Clock) -> tuple[str, ...]:
    """`unreliable_a1c` where something may distort the value, and the flags of what was looked at;
    ask through `view.derive`. What is open is shown, since it only warns."""
    found = view.derive(statements, clock)
    kidneys, pregnant = view.derive(kidney, clock), view.derive(pregnancy, clock)
    blood = [one for name in _BLOOD for one in found.of(name) if one.is_condition]
    given = [one for one in found.of("transfusion") if not one.is_condition]
    said = [one for one in (*blood, *given) if one in blood or _is_recent(one, clock) is not False]
    flags = {*found.ignored(*_BLOOD, "transfusion"), *kidneys.flags, *pregnant.flags, *flags_of(said)}
    if said or kidneys.failing is not False or pregnant.now is not False:
        flags.add("unreliable_a1c")
    return tuple(sorted(flags))


def _is_recent(transfusion: Statement, clock: Clock) -> bool | None:
    return None if transfusion.on is None else clock.within_days(transfusion.on, _TRANSFUSION_DAYS)
