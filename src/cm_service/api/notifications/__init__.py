"""The door at which EMRs tell that something changed."""
