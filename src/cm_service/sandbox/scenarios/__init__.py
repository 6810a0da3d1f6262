"""The people of the synthetic panel: one small function per kind of patient, grouped by file."""
