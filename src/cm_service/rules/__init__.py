"""Eligibility rules: pure functions over one patient's facts. No I/O, no clock of their own."""
