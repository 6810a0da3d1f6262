"""A folder of landing files, read: the scan, then patient by patient the normaliser."""

from __future__ import annotations

import json
import shutil
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import msgspec

from cm_service.fhir import rawjson
from cm_service.fhir.values import References
from cm_service.flow.normalise import OWNED, Normaliser, Reject
from cm_service.flow.normalisers import plans
from cm_service.flow.normalisers.used_codes import ConceptMap
from cm_service.flow.sieve.bases import ABSOLUTE, keys_of, leading_here, own_base, survivors
from cm_service.flow.sieve.faults import Fault, key_of, locate, not_utf8
from cm_service.flow.sieve.files import LineFile, Prepared, open_lines, prepare
from cm_service.flow.sieve.gather import Failed, Gathered, Row, add_holes, gather
from cm_service.flow.sieve.mending import Mended, mend, settle
from cm_service.flow.sieve.scan import Scan
from cm_service.rules.facts import AnyFact, PlaceFact


class _Lost(NamedTuple):
    """A reject whose line number is looked up when somebody asks."""

    reject: Reject
    file: int
    key: int


class Reading:
    """What a folder holds. `patients()` reads the facts; `holes` and `rejects` are complete for a
    patient when that patient is handed out, and as a whole when all were.

    `counts`: lines kept, by type. `unread`: types of whose files a part could not be read at all.
    `findings`: how often something was odd and yet usable, so far. `without_patient`: owners of facts of
    whom no Patient was read; they get no decision from this folder alone.
    """

    def __init__(
        self,
        prepared: Prepared,
        scan: Scan,
        *,
        base_url: str | None,
        concept_map: ConceptMap,
        limit: int,
        of_one_server: bool,
    ) -> None:
        self._scan, self._limit, self._of_one_server = scan, limit, of_one_server
        self._files = prepared.files
        owners = scan.owners()
        self.references = References(base_url or self._own_base(owners, prepared), self._conditional())
        self._normaliser = Normaliser(self.references, concept_map)
        self.counts = scan.counts()
        self.unread = frozenset().union(*({kind} if kind else OWNED for kind in prepared.broken))
        self.holes: dict[str, frozenset[str]] = {}
        self.findings: Counter[str] = Counter()
        self._known: list[Reject] = []
        self._lost: list[_Lost] = []
        self.places = self._places()
        self.without_patient = self._assign(owners)
        self._note_faults(prepared.faults)
        self._torn = self._mended()
        self.findings += self._normaliser.context.found()

    def patients(self) -> Iterator[tuple[str, dict[str, AnyFact]]]:
        """(patient id, facts by `Type/id`), in the order of the ids."""
        for patient_id, found in self.gathered():
            if found.facts:
                yield patient_id, found.facts

    def gathered(self) -> Iterator[tuple[str, Gathered]]:
        """(patient id, what was read), in the order of the ids, also of whom nothing could be used."""
        for patient_id, pairs in groupby(self._scan.by_patient(), key=itemgetter(0)):
            found = self._gathered(patient_id, (row for _, row in pairs))
            self._fail(found.failed)
            self.findings += found.findings
            yield patient_id, found

    def _gathered(self, patient_id: str, rows: Iterable[Row]) -> Gathered:
        found = gather(
            rows,
            self._normaliser,
            owner=patient_id,
            of_one_server=self._of_one_server,
            every_result=patient_id in self._scan.dying.joined,
        )
        settle(found.facts, patient_id, self._torn)
        return found

    @property
    def rejects(self) -> list[Reject]:
        """Everything that could not be used so far, each with its file and line."""
        if self._lost:
            self._known.extend(self._located())
            self._known.sort(key=lambda reject: (reject.file, reject.line))
            self._lost = []
        return self._known

    def containing(self, text: str, types: Iterable[str]) -> Iterator[Any]:
        """Raw resources of these types that contain a text anywhere; decimals keep their digits."""
        for line in self._scan.containing(text, types):
            yield rawjson.loads(line.encode())

    # --- before the patients

    def _own_base(self, owners: Iterable[tuple[str, int]], prepared: Prepared) -> str | None:
        links = survivors(self._scan.containing("replaced-by", ["Patient"]))
        others = self._leading_here()  # a generator: these lines are read only if somebody needs them
        return own_base(chain(owners, links), prepared.bases, frozenset(self._scan.patients()), others)

    def _leading_here(self) -> Iterator[tuple[str, int]]:
        yield from leading_here(self._scan.rows("regexp_matches(line, ?)", ABSOLUTE), self._held)

    def _held(self, keys: Iterable[str]) -> set[str]:
        wanted = "type || '/' || id IN (SELECT json_extract_string(value, '$') FROM json_each(?))"
        return keys_of(self._scan.rows(wanted, json.dumps(sorted(keys))))

    def _conditional(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for row in self._scan.rows("type IN ('Location', 'Organization')"):
            found.update(plans.conditional(row.line))
        return found

    def _places(self) -> dict[str, PlaceFact]:
        rows = self._scan.rows("type IN ('Location', 'Organization')")
        found = gather(rows, self._normaliser, owner=None, of_one_server=self._of_one_server)
        self._fail(found.failed)
        return {key: fact for key, fact in found.facts.items() if isinstance(fact, PlaceFact)}

    def _assign(self, owners: Iterable[tuple[str, int]]) -> frozenset[str]:
        """Find out who is meant; lines that mean nobody become rejects."""
        own = {f"Patient/{name}" for name in self._scan.patients()}
        meant = {text: self.references.patient(text) for text in {*own, *(text for text, _ in owners)}}
        self._scan.assign({text: patient for text, patient in meant.items() if patient is not None})
        self._fail(gather(self._scan.unowned(), self._normaliser, owner=None).failed)
        present = {meant[text] for text in own}
        return frozenset(patient for patient in meant.values() if patient and patient not in present)

    def _mended(self) -> dict[str, Mended]:
        torn = self._scan.torn()
        rows = (row for pair in torn for row in self._scan.rows("type = ? AND id = ?", *pair))
        keys = frozenset(map("/".join, torn))
        return mend(keys, rows, self._normaliser, of_one_server=self._of_one_server)

    # --- what failed

    def _fail(self, failed: Iterable[Failed]) -> None:
        rejects = []
        for reject, row in failed:
            rejects.append(reject)
            if reject.is_hole:
                text = row.line.encode() if isinstance(row.line, str) else row.line
                self._lost.append(_Lost(reject, row.place, key_of(text)))
            else:  # its type and id are enough to find it, and there may be many
                name = self._files[row.place].name
                self._known.append(msgspec.structs.replace(reject, file=name))
        add_holes(self.holes, rejects)

    def _note_faults(self, faults: Iterable[Fault]) -> None:
        """Lines that failed before anybody could read them."""
        known = [fault.reject(self.references) for fault in faults]
        known += [fault.reject(self.references) for fault in self._not_utf8()]
        add_holes(self.holes, known)
        self._known.extend(known)
        for number, reason, line in self._scan.faults():
            file, text = self._files[number], line.encode()
            reject = Fault(reason, file.name, 0, file.promised, text).reject(self.references)
            self._lost.append(_Lost(reject, number, key_of(text)))
            add_holes(self.holes, [reject])

    def _not_utf8(self) -> Iterator[Fault]:
        files = {str(file.path): file for file in self._files}
        for path, numbers in self._scan.unreadable().items():
            file = files[path]
            with open_lines(file.path) as lines:
                found = list(not_utf8(lines, self._limit))
            for line in found:
                name, number = file.place(line.number)
                yield Fault("not_utf8", name, number, file.promised, line.text)
            for number in numbers[len(found) :]:
                yield Fault("malformed_json", file.name, number, file.promised)

    def _located(self) -> Iterator[Reject]:
        by_file: dict[int, list[_Lost]] = {}
        for lost in self._lost:
            by_file.setdefault(lost.file, []).append(lost)
        for number, held in by_file.items():
            yield from _placed(self._files[number], held, self._limit)


def _placed(file: LineFile, held: list[_Lost], limit: int) -> Iterator[Reject]:
    """Equal lines that failed more than once stand at different places."""
    with open_lines(file.path) as lines:
        numbers = locate(lines, (lost.key for lost in held), limit)
    for lost in held:
        left = numbers.get(lost.key, [])
        name, line = file.place(left.pop(0) if left else 0)
        yield msgspec.structs.replace(lost.reject, file=name or file.name, line=line)


def read_folder(
    source: Path,
    *,
    base_url: str | None,
    concept_map: ConceptMap,
    max_line_bytes: int,
    of_one_server: bool = False,
) -> Reading:
    """Read a folder of `*.ndjson`, `*.ndjson.gz` and Bundle files, or one such file.

    Absolute references under `base_url` are local; without it those under the base that prevails
    in the folder. `of_one_server`: what a pull has landed, see `newest`. Raises NothingToRead for an
    empty or missing folder.
    """
    work = Path(mkdtemp(prefix="cm-sieve-"))
    try:
        prepared = prepare(source, work=work, limit=max_line_bytes)
        scan = Scan(prepared.files, work=work, limit=max_line_bytes, concept_map=concept_map)
        reading = Reading(
            prepared,
            scan,
            base_url=base_url,
            concept_map=concept_map,
            limit=max_line_bytes,
            of_one_server=of_one_server,
        )
    except BaseException:
        shutil.rmtree(work)
        raise
    weakref.finalize(reading, _clean, scan, work)
    return reading


def _clean(scan: Scan, work: Path) -> None:
    """The working folder holds PHI: it goes with the reading, at the latest when the process ends."""
    scan.close()
    shutil.rmtree(work, ignore_errors=True)
