"""An EMR's limit of calls is kept, and a 429 that names no time costs one span of it."""

from __future__ import annotations

import asyncio

from cm_service.fhir.pace import Pace
from tests.fhir.builders import Waits, pages
from tests.fhir.scripted import Reply, scripted_emr, searchset


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.calls = 0.0, list[float]()

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_no_span_of_time_sees_more_calls_than_nine_tenths_of_the_limit() -> None:
    clock = Clock()
    pace = Pace(250, 60.0, sleep=clock.sleep, clock=lambda: clock.now)

    async def many() -> None:
        async def one() -> None:
            await pace.wait()
            clock.calls.append(clock.now)

        await asyncio.gather(*(one() for _ in range(1000)))

    asyncio.run(many())
    for start in clock.calls:
        assert sum(start <= call < start + 60.0 for call in clock.calls) <= 225
    assert clock.now >= 4 * 60.0
    assert clock.now < 5 * 60.0, "and nobody waits for longer than that needs"


def test_a_429_without_a_time_waits_for_one_span() -> None:
    waits = Waits()
    with scripted_emr() as emr:
        emr.on("GET Observation", Reply(429), searchset())
        pages(emr, waits=waits, pace=Pace(250, 60.0))
    assert waits.seconds == [60.0]
