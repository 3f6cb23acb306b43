"""A hypothesis profile for who only wants to know whether a test fails, not by what least example."""

from hypothesis import Phase, settings

settings.register_profile("unshrunk", settings.get_profile("suite"), phases=[Phase.generate], database=None)
