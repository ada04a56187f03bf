"""Settings of all tests."""

from hypothesis import settings

# A shared machine is slow at times, which is no fault of the code; the same examples are drawn everywhere.
settings.register_profile("skyloom", deadline=None, derandomize=True)
settings.load_profile("skyloom")

WORKFLOW = "tests/workflow/"


def pytest_collection_modifyitems(items):
    """Put the tests of the workflow first, which take longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(WORKFLOW))


def pytest_xdist_make_scheduler(config, log):
    """Let the tests of a file share a process, and all those of the workflow, which look at one run."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return WORKFLOW if nodeid.startswith(WORKFLOW) else nodeid.split("::")[0]

    return ByFile(config, log)
