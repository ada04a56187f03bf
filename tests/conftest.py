"""Settings of all tests."""

from hypothesis import settings

# A shared machine is slow at times, which is no fault of the code; the same examples are drawn everywhere.
settings.register_profile("skyloom", deadline=None, derandomize=True)
settings.load_profile("skyloom")

WORKFLOW = "tests/workflow/"
APART = ("test_add_a_case.py", "test_real_photons.py", "test_real_radio.py")
"""Those of the workflow that make a run of their own."""


def pytest_collection_modifyitems(items):
    """Put the tests of the workflow first, which take longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(WORKFLOW))


def pytest_xdist_make_scheduler(config, log):
    """Let the tests of a file share a process, and those of the workflow that look at one run."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            name = nodeid.split("::")[0]
            return WORKFLOW if name.startswith(WORKFLOW) and not name.endswith(APART) else name

    return ByFile(config, log)
