"""cm-service: care management inside the EMR, over FHIR R4."""

__version__ = "0.1.0"
