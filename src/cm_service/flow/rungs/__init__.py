"""The rungs: where an intent can be put in an EMR. `base.py` says what each must answer."""
