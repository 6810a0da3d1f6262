"""From decisions to what is wanted in the EMR: one file per family of rules, and the shared joinery."""
