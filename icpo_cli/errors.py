"""The two ways a command ends badly."""


class UserError(Exception):
    """A mistake in what the user asked for: one line, exit status 2, found before anything heavy starts."""


class RunFailed(Exception):
    """A run that began and could not go on: one line saying why and what was saved, exit status 1."""


EXIT_FAILED = 1
EXIT_USER_ERROR = 2
