"""One worklist over several practices: each row only after a sign-in there, by the same person in the same
browser. Attacks: another user, another browser, an EMR without a sign-in, a page that is gone."""

from __future__ import annotations

import datetime as dt
import html
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from cm_service.db import cases, launches, worklist
from tests.api.door_world import Doors, add_emr
from tests.api.launch_attack_world import refused
from tests.api.launch_world import CLIENT, LaunchingEmr, begin, come_back, launching, serving, token_in
from tests.api.test_worklist_page import many, names

A, B = "Practitioner/n", "Practitioner/b"


class Both:
    """Practices `clinic` and `other`, a nurse who works at both under two ids, and one browser."""

    def __init__(self, world: Doors, clinic: LaunchingEmr, other: LaunchingEmr) -> None:
        self.world, self.http = world, world.http
        self.emrs = {"clinic": clinic, "other": other}
        for emr in self.emrs.values():
            emr.token = {"patient": None, "scope": "openid fhirUser user/*.read"}
        self.is_user("other", B)

    def is_user(self, slug: str, user: str, **token: Any) -> None:
        emr = self.emrs[slug]
        emr.claims = {"sub": user, "fhirUser": f"{emr.base}/{user}"}
        emr.token = emr.token | token

    def rows(self, slug: str, count: int = 1, **changes: Any) -> None:
        many(SimpleNamespace(doors=self.world), count, emr=slug, **changes)  # type: ignore[arg-type]

    def back(self, slug: str, location: str) -> httpx.Response:
        state = parse_qs(urlsplit(location).query)["state"][0]
        code = self.emrs[slug].authorize(location)
        return self.http.get(f"/launch/callback/{slug}", params={"code": code, "state": state})

    def sign_in(self, slug: str = "clinic") -> str:
        """The token of a worklist page."""
        away = self.http.get(f"/launch/standalone/{slug}", follow_redirects=False)
        return token_in(self.back(slug, away.headers["location"]))

    def join(self, token: str, slug: str = "other", **headers: str) -> httpx.Response:
        return self.http.post("/launch/join", data={"token": token, "emr": slug}, headers=headers)

    def joined(self, token: str, slug: str = "other") -> str:
        return token_in(self.back(slug, away_in(self.join(token, slug))))

    def get(self, token: str, **params: Any) -> httpx.Response:
        path = "/app/worklist" if params else "/app/part"
        return self.http.get(path, params=params, headers={"Authorization": f"Bearer {token}"})

    def post(self, token: str, path: str, **form: str) -> httpx.Response:
        return self.http.post(path, data=form, headers={"Authorization": f"Bearer {token}"})


def away_in(page: httpx.Response) -> str:
    """Where the page that leaves for the EMR goes."""
    assert page.status_code == 200, page.text
    return html.unescape(page.text.partition('<a href="')[2].partition('"')[0])


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    with launching(tmp_path) as (world, clinic):
        other = LaunchingEmr()
        with serving(other, world):
            options = {"client-id": CLIENT, "public": "yes"}
            add_emr(world, "other", base_url=other.base, launch_options=options, timezone="America/Denver")
            yield Both(world, clinic, other)


def test_rows_of_another_practice_appear_only_after_a_sign_in_there(both: Both) -> None:
    """The same id at another practice is another person, and a row there is nobody's here."""
    both.rows("clinic", name="Here", care_manager=A, status="active")
    both.rows("other", name="There", care_manager=A, status="active")
    token = both.sign_in()
    assert names(both.get(token).text) == ["Here"]
    page = both.get(both.joined(token)).text
    assert names(page) == ["Here"], "there she is somebody else, and has no patients"
    both.rows("other", name="There", care_manager=B, status="active")
    both.rows("other", 2, name="Found there")
    page = both.get(both.joined(both.sign_in())).text
    mine, found = page.split("Candidates</h2>")
    assert set(names(found)) == {"Found there"} and "at other" in found
    both.rows("other", name="There", care_manager=B, status="active")
    mine = both.get(both.joined(both.sign_in())).text.split("Candidates</h2>")[0]
    assert sorted(names(mine)) == ["Here", "There"] and "2 active" in mine


def test_one_patient_id_at_two_practices_is_two_people(both: Both) -> None:
    both.rows("clinic", name="Ada")
    both.rows("other", name="Bob")
    page = both.get(both.joined(both.sign_in())).text
    assert sorted(names(page)) == ["Ada", "Bob"]
    for name, slug in (("Ada", "clinic"), ("Bob", "other")):
        row = page.partition(f'<th scope="row">{name}')[2].partition("</th>")[0]
        assert f"at {slug}" in row


def test_what_was_seen_is_in_the_audit_under_the_user_of_each_practice(both: Both) -> None:
    both.rows("clinic")
    both.rows("other")
    both.get(both.joined(both.sign_in()))
    lines = {(line.emr, line.who, line.action, line.patient_id) for line in both.world.audit()}
    assert {("clinic", A, "page-part", "many-0"), ("other", B, "page-part", "many-0")} <= lines
    assert {("other", B, "launch", None), ("clinic", A, "launch-joined", None)} <= lines


def test_the_page_that_was_joined_opens_nothing_by_itself_any_more(both: Both) -> None:
    first = both.sign_in()
    second = both.joined(first)
    assert both.get(first).status_code == 401 and both.get(second).status_code == 200
    refused(both.join(first), "other")
    assert both.post(second, "/app/end").status_code == 204
    assert both.get(second).status_code == 401
    with both.world.database.read() as connection:
        digests = [line.digest for line in connection.execute(launches.PageSession.__table__.select())]
        assert all(launches.alive(connection, each, now=both.world.now) is None for each in digests)


def test_without_the_token_or_with_that_of_a_chart_nothing_is_joined(both: Both) -> None:
    for token in ("", "x" * 43):
        refused(both.join(token))
    both.emrs["clinic"].token = {}
    chart = token_in(come_back(both.world, both.emrs["clinic"], begin(both.world, both.emrs["clinic"])))
    refused(both.join(chart))
    assert "exchange" not in both.emrs["other"].calls and both.emrs["other"].calls == []


def test_a_token_from_another_browser_or_site_joins_nothing(both: Both) -> None:
    """Somebody who is sent away with the token of an attacker's worklist would else see it as a part of
    the own one."""
    token = both.sign_in()
    refused(both.join(token, **{"Sec-Fetch-Site": "cross-site"}))
    both.http.cookies.clear()
    refused(both.join(token))
    both.sign_in("other")  # the victim's own browser, with a cookie of its own
    refused(both.join(token))


def test_without_a_cookie_at_the_way_back_nothing_is_joined(both: Both) -> None:
    both.rows("clinic", name="Here")
    token = both.sign_in()
    away = away_in(both.join(token))
    both.http.cookies.clear()
    refused(both.back("other", away))
    assert names(both.get(token).text) == ["Here"], "the first page goes on"


def test_a_state_that_joins_is_good_once_in_time_and_while_the_page_is_there(both: Both) -> None:
    token = both.sign_in()
    away = away_in(both.join(token))
    both.back("other", away)
    refused(both.back("other", away))
    token = both.sign_in()
    away = away_in(both.join(token))
    both.world.now += dt.timedelta(minutes=5, seconds=1)
    refused(both.back("other", away))
    away = away_in(both.join(token))
    both.post(token, "/app/end")
    refused(both.back("other", away))


def test_another_user_at_one_practice_ends_what_was_joined_there(both: Both) -> None:
    """In the same browser: nobody else's rows stay on a page, and nobody sees the one before's."""
    both.rows("clinic", name="Here")
    both.rows("other", name="There")
    older = both.joined(both.sign_in())
    assert sorted(names(both.get(older).text)) == ["Here", "There"]
    both.is_user("clinic", "Practitioner/m")
    newer = both.sign_in()
    assert both.get(older).status_code == 401, "it is not known to be the same person at the other one"
    assert names(both.get(newer).text) == ["Here"]


def test_a_sign_in_that_has_ended_takes_its_rows_along_and_no_others(both: Both) -> None:
    both.rows("clinic", name="Here")
    both.rows("other", name="There")
    both.emrs["clinic"].token |= {"expires_in": 300}
    token = both.joined(both.sign_in())
    assert sorted(names(both.get(token).text)) == ["Here", "There"]
    both.world.now += dt.timedelta(minutes=6)
    page = both.get(token)
    assert page.status_code == 200 and names(page.text) == ["There"]
    for _ in range(2):
        told = both.get(token).text
        assert "The sign-in at clinic has ended" in told
        assert "at clinic" not in told.partition('class="signed"')[2].partition("</p>")[0]
    again = both.get(both.joined(token, "clinic")).text
    assert sorted(names(again)) == ["Here", "There"], "and come back with the next sign-in"
    assert "has ended" not in again


def test_a_patient_who_signs_in_adds_no_practice_and_a_launch_with_a_patient_is_no_worklist(
    both: Both,
) -> None:
    both.rows("clinic", name="Here")
    both.rows("other", name="There")
    both.is_user("other", "Patient/p1")
    page = both.get(both.joined(both.sign_in())).text
    assert names(page) == ["Here"] and "Your role at other sees no worklist" in page
    both.is_user("other", B, patient="p1")
    refused(both.back("other", away_in(both.join(both.sign_in()))))


def test_the_joined_page_is_framed_by_nobody_who_may_not_frame_both(both: Both) -> None:
    alone = both.get(both.sign_in()).headers["content-security-policy"]
    assert f"frame-ancestors {both.emrs['clinic'].origin}" in alone
    shell = both.back("other", away_in(both.join(both.sign_in())))
    for answer in (shell, both.get(token_in(shell))):
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"


def test_the_token_is_in_no_url_on_the_way_and_the_page_in_between_runs_nothing(both: Both) -> None:
    token = both.sign_in()
    page = both.join(token)
    assert token not in page.text and token not in str(page.headers) and "<script" not in page.text
    assert page.headers["cache-control"] == "no-store" and page.headers["referrer-policy"] == "no-referrer"


def test_pages_of_candidates_go_over_both_practices_each_row_once(both: Both) -> None:
    """Ties are usual: what is due is due at the end of a day."""
    due = both.world.now + dt.timedelta(days=1)
    for slug in ("clinic", "other"):
        both.rows(slug, 130)
        with both.world.store.write() as connection:
            rows = worklist.page(connection, worklist.Filter((slug,), limit=200))
            worklist.save(connection, [{**row._mapping, "due_at": due} for row in rows if row.urgency < 3])
    token = both.joined(both.sign_in())
    for sort in ("due", "urgency"):
        seen, cursor = [], ""
        for _ in range(9):
            page = both.get(token, sort=sort, **({"cursor": cursor} if cursor else {})).text
            found = page.split("Candidates</h2>")[1]
            seen += re.findall(r'<th scope="row">(Person \d+) .*?at (\w+)</span>', found)
            if 'name="cursor"' not in found:
                break
            cursor = found.partition('name="cursor" value="')[2].partition('"')[0]
        assert len(seen) == len(set(seen)) == 260, sort


def test_a_caseload_is_handed_over_at_one_practice_and_never_where_nobody_signed_in(both: Both) -> None:
    for slug, user in (("clinic", A), ("other", B)):
        both.rows(slug, care_manager=user, status="active")
        with both.world.store.write() as connection:
            _enrol(connection, slug, user, both.world.now)
    alone = both.sign_in()
    path, to = "/app/caseload/hand-over", {"owner": "Practitioner/z"}
    assert both.post(alone, path, emr="other", **to).status_code == 404
    token = both.joined(alone)
    answer = both.post(token, path, emr="other", **to)
    assert answer.status_code == 200 and "1 cases handed over to Practitioner/z at other" in answer.text
    with both.world.store.read() as connection:
        who = {slug: cases.open_enrolment(connection, slug, "many-0").care_manager for slug in both.emrs}
    assert who == {"clinic": A, "other": "Practitioner/z"}


def _enrol(connection: Any, slug: str, user: str, now: dt.datetime) -> None:
    usual = {"number": 1, "status": "active", "closed_at": None, "closure": None, "version": 1}
    who = {"emr": slug, "patient_id": "many-0", "care_manager": user}
    cases.insert(connection, "enrolment", opened_at=now, active_since=now, **usual, **who)
