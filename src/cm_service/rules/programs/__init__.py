"""One file per rule (or small family): a new rule is one file, its data and its cases."""
