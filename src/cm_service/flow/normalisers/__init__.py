"""How each FHIR type becomes a fact: one resource at a time, no zone, no `as_of`, no other resource."""
