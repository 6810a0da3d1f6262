"""An EMR of our own, to try and test the service without one: a FHIR R4 server and a synthetic panel."""
