"""Settings of all tests."""

from hypothesis import settings

# A shared machine is slow at times, which is no fault of the code; the same examples are drawn everywhere.
settings.register_profile("skyloom", deadline=None, derandomize=True)
settings.load_profile("skyloom")
