"""`make bench`: every benchmark, one after the other; the last line is one JSON object with all figures."""

from __future__ import annotations

import json

from benchmarks import doors, night, page


def main() -> None:
    found = {"night": night.figures(), **doors.figures(), "page": page.figures()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
