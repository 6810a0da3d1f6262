"""The REST API for integrators, behind the gate: every operation says which scope it needs."""
