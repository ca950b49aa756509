"""The one error that users see."""


class PipelineError(Exception):
    """Something that the user can act on: what happened, the remedy, and the exit code it means.

    Exit codes: 1 failed or done in part, 2 usage, 3 a verification did not hold, 4 something is pending,
    5 refused or locked.
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n  remedy: {self.hint}" if self.hint else self.message


class ServerGone(PipelineError):
    """The server cannot be reached, or has ended our session; it may be there again in a moment."""
