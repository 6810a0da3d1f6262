"""Everything that knows FHIR and HTTP, and nothing about rules or databases."""
