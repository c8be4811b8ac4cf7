"""How long the property tests of this folder look for a counterexample."""

from hypothesis import settings

settings.register_profile("quick", deadline=None, max_examples=60, database=None)
settings.load_profile("quick")
