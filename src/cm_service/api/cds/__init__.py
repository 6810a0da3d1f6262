"""CDS Hooks 2.0.1: cards that show and link.

No create suggestions: an accepted one and the night would make two.
"""
