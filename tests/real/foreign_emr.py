"""An EMR that nobody here wrote: HAPI FHIR JPA 5.0.2 (R4) in memory, from Maven Central.

    make foreign-emr            once: fetches the two archives (215 MB) into Maven's own cache
    def test_x(foreign_emr):    its base URL; one server for the whole test session

It starts in about 20 seconds and holds about 1 GB, so there is one, and tests share it: give each
test patients of its own, or call `loading.empty` at the start of a module that loads a population.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.real.parts import free_port, log_of, missing, running, tail


@dataclass(frozen=True)
class Artefact:
    group: str
    name: str
    version: str
    kind: str

    @property
    def path(self) -> Path:
        folder = Path.home() / ".m2/repository" / self.group.replace(".", "/") / self.name / self.version
        return folder / f"{self.name}-{self.version}.{self.kind}"

    @property
    def coordinates(self) -> str:
        return f"{self.group}:{self.name}:{self.version}:{self.kind}"


RUNNER = Artefact("org.eclipse.jetty", "jetty-runner", "9.4.57.v20241219", "jar")
SERVER = Artefact("org.opencds.cqf", "cqf-ruler-r4", "0.4.0", "war")
LOG = log_of("foreign-emr")
# The server is of 2020 and reaches into the JDK, which closed these packages since.
OPENED = [
    part
    for package in ("java.lang", "java.lang.reflect", "java.text", "java.util")
    for part in ("--add-opens", f"java.base/{package}=ALL-UNNAMED")
]
# The optimising compiler would take longer than the whole test session gains by it: these two halve the
# processor time of start and load on two cores, and the memory (1.4 to 0.8 GB).
SHORT_LIVED = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx2g"]
# Without server_address the next links lead to another host; without the last line a search is
# answered from a minute ago.
PROPERTIES = """\
server_address={base_url}/
datasource.driver=org.h2.Driver
datasource.url=jdbc:h2:mem:foreign;DB_CLOSE_DELAY=-1
datasource.username=
datasource.password=
etag_support=ENABLED
reuse_cached_search_results_millis=0
"""


@pytest.fixture(scope="session")
def foreign_emr() -> Iterator[str]:
    """The base URL of the running server, without a slash at its end."""
    if not shutil.which("java"):
        missing("Java 17 is not installed")
    for artefact in (RUNNER, SERVER):
        if not artefact.path.exists():
            missing(f"{artefact.coordinates} is not in Maven's cache: run `make foreign-emr`")
    # The server unpacks its archive and keeps its index where it stands: 350 MB, gone afterwards.
    home = Path(tempfile.mkdtemp(prefix="cm-service-foreign-emr-"))
    try:
        yield from _serve(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _serve(home: Path) -> Iterator[str]:
    port = free_port()
    base_url = f"http://localhost:{port}/fhir"
    (home / "hapi.properties").write_text(PROPERTIES.format(base_url=base_url))
    options = [*SHORT_LIVED, f"-Djava.io.tmpdir={home}", f"-Dhapi.properties={home / 'hapi.properties'}"]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    command = ["java", *OPENED, *options, "-jar", str(RUNNER.path), *address, str(SERVER.path)]
    with running(command, log=LOG, cwd=home) as server:
        _wait_for(base_url, server)
        yield base_url


def _wait_for(base_url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while not _answers(base_url):
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the foreign EMR did not start:\n{tail(LOG)}", pytrace=False)
        time.sleep(0.25)


def _answers(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url}/metadata", timeout=60).is_success
    except httpx.TransportError:
        return False


def fetch() -> None:
    for artefact in (RUNNER, SERVER):
        if not artefact.path.exists():
            wanted = f"-Dartifact={artefact.coordinates}"
            subprocess.run(["mvn", "-B", "-q", "dependency:get", wanted, "-Dtransitive=false"], check=True)


if __name__ == "__main__":
    fetch()
