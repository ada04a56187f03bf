"""The one exception for mistakes that a user can make and mend."""


class UserError(Exception):
    """A mistake in the input, told in one sentence that names the file or key and says what to do."""
