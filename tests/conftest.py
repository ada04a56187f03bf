"""Settings of all tests."""

import pytest
from hypothesis import settings

# A shared machine is slow at times, which is no fault of the code; the same examples are drawn everywhere.
settings.register_profile("skyloom", deadline=None, derandomize=True)
settings.load_profile("skyloom")


def pytest_collection_modifyitems(items):
    """Let the tests of a file share a process, and those that look at the one tiny run; it takes longest and begins."""
    for item in items:
        shared = "finished" in item.fixturenames
        item.add_marker(pytest.mark.xdist_group("finished" if shared else item.path.name))
    items.sort(key=lambda item: "finished" not in item.fixturenames)
