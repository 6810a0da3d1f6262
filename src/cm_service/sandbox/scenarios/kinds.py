"""A scenario: how to make one kind of patient, and which rules must call for care."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cm_service.sandbox.scenarios.person import Person


class Scenario(NamedTuple):
    """`eligible`: exactly these rules find the patient; `undecided`: these cannot tell.

    `ages` is inclusive; `share` says how often the kind comes in a panel.
    """

    name: str
    story: str
    build: Callable[[Person], None]
    eligible: frozenset[str]
    undecided: frozenset[str]
    ages: tuple[int, int]
    sex: str
    share: int


def scenario(
    *eligible: str,
    undecided: tuple[str, ...] = (),
    ages: tuple[int, int] = (32, 60),
    sex: str = "",
    share: int = 1,
) -> Callable[[Callable[[Person], None]], Scenario]:
    """Turns a function into a Scenario; its docstring is the story."""

    def made(build: Callable[[Person], None]) -> Scenario:
        story = " ".join((build.__doc__ or "").split())
        sets = frozenset(eligible), frozenset(undecided)
        return Scenario(build.__name__, story, build, *sets, ages, sex, share)

    return made
