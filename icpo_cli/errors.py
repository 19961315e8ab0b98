"""Exceptions that end a command, and its exit statuses."""


class UserError(Exception):
    """Invalid input: one line, exit status 2, raised before anything heavy starts."""


class RunFailed(Exception):
    """A run that started and failed: one line with the reason and what was saved, exit status 1."""


class EndedAtOnce(BaseException):
    """A second signal: the current work is abandoned. A BaseException, so that no error handler catches it."""

    def __init__(self, signal: int, message: str = "ended at once by a second signal") -> None:
        super().__init__(message)
        self.signal = signal


EXIT_FAILED = 1
EXIT_USER_ERROR = 2
