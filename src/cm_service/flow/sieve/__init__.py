"""Landing files -> facts per patient, places, rejects. Knows no `as_of`: rules judge time.

`read_folder(path, ...).patients()` for files,
`read_bundle(bundle)` for one Bundle in memory. Both read by the one normaliser.
"""

from cm_service.flow.sieve.bundle import BundleReading, read_bundle
from cm_service.flow.sieve.reading import Reading, read_folder

__all__ = ["BundleReading", "Reading", "read_bundle", "read_folder"]
