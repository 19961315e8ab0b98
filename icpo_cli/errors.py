"""The two ways a command ends badly."""


class UserError(Exception):
    """A mistake in what the user asked for: one line, exit status 2, found before anything heavy starts."""


class RunFailed(Exception):
    """A run that began and could not go on: one line saying why and what was saved, exit status 1."""


class EndedAtOnce(BaseException):
    """A second signal: the work in hand is given up. Not an Exception: nothing that goes on after errors stops it."""

    def __init__(self, signal: int, message: str = "ended at once by a second signal") -> None:
        super().__init__(message)
        self.signal = signal


EXIT_FAILED = 1
EXIT_USER_ERROR = 2
