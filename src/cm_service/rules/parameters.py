"""Parameters of the rules: settings per EMR, with the defaults of the rule specification.

Keys are those of `rules.csv` (`a1c.target`, `dis.backfill_days`, ...), as `emr set` and
`evaluate --set` take them.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from cm_service.errors import BadInput


class Parameters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Field names are the keys with `_` for the first dot; days are local days."""

    a1c_target: Decimal = Decimal("7.0")
    a1c_poor: Decimal = Decimal("9.0")
    a1c_dx: Decimal = Decimal("6.5")
    a1c_older_adult_mode: str = "ada"
    a1c_recheck_ok: int = 183
    a1c_recheck_high: int = 92
    a1c_accept_jds: bool = False
    a1c_accept_gmi: bool = False
    a1c_no_target_codes: tuple[str, ...] = ()  # "system|code" meaning "no numeric target"
    dis_backfill_days: int = 30
    dis_include_short_stay: bool = False
    dis_observation_readmit: bool = False
    dis_open_max_days: int = 60
    ed_followup_days: int = 7
    ed_freq: int = 4
    ed_watch: int = 3
    chr_min_groups: int = 2
    chr_persisting_encounter_dx: str = "confirm"
    chr_extensions: tuple[str, ...] = ()  # extension categories that count too
    gx_hospice_days: int = 365
    gx_decline_cooloff_days: int = 180
    gx_min_age: int = 18
    gx_pediatric_discharge: bool = False
    gx_opt_out_codes: tuple[str, ...] = ()  # "system|code": Consent categories beside 59284-0
    dq_tasks: bool = False


CHOICES: dict[str, frozenset[str]] = {
    "a1c.older_adult_mode": frozenset({"ada", "off"}),
    "chr.persisting_encounter_dx": frozenset({"confirm", "count", "ignore"}),
}
RANGES: dict[str, tuple[Decimal, Decimal]] = {
    "a1c.target": (Decimal(4), Decimal(15)),
    "a1c.poor": (Decimal(5), Decimal(20)),
    "a1c.dx": (Decimal(5), Decimal(10)),
    "ed.freq": (Decimal(3), Decimal(10)),
    "ed.watch": (Decimal(1), Decimal(10)),
    "chr.min_groups": (Decimal(1), Decimal(10)),
}


def key_of(field: str) -> str:
    return field.replace("_", ".", 1)


FIELDS = {key_of(f.name): f for f in msgspec.structs.fields(Parameters)}


def with_settings(base: Parameters, settings: Iterable[tuple[str, str]]) -> Parameters:
    """`base` with KEY=VALUE settings applied. Raises BadInput naming the key and what it takes."""
    changes = {FIELDS[key].name: _read(key, text) for key, text in settings if _known(key)}
    return msgspec.structs.replace(base, **changes)


def _known(key: str) -> bool:
    if key not in FIELDS:
        raise BadInput(f"{key} is no rule parameter; known are {', '.join(sorted(FIELDS))}")
    return True


def _read(key: str, text: str) -> Any:
    kind = type(FIELDS[key].default)
    value: Any
    try:
        if kind is bool:
            value = {"on": True, "true": True, "off": False, "false": False}[text.strip().lower()]
        elif kind is tuple:
            value = tuple(part.strip() for part in text.split(",") if part.strip())
        else:
            value = kind(text.strip())
    except (KeyError, ValueError, InvalidOperation) as error:
        raise BadInput(f"{key} does not take the value {text!r}") from error
    _check(key, value)
    return value


def _check(key: str, value: Any) -> None:
    if key in CHOICES and value not in CHOICES[key]:
        raise BadInput(f"{key} takes one of {', '.join(sorted(CHOICES[key]))}")
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        low, high = RANGES.get(key, (Decimal(0), Decimal(3650)))
        if not low <= value <= high:
            raise BadInput(f"{key} must lie between {low} and {high}")
