"""Real parts for the tests: a PostgreSQL cluster of our own, and a FHIR server that nobody here wrote."""
