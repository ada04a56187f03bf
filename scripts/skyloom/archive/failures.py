"""Why a file could not be fetched."""


class FetchError(Exception):
    """One file could not be fetched; the text says why."""


class Unreachable(FetchError):
    """No mirror could be reached, which says nothing about the file."""
