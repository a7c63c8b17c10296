"""Tests of Scones: `unit/`, `integration/`, `end_to_end/`; `archives.py` builds their archives."""
