"""Every error we raise on purpose.

A user's mistake in a manifest is not here: it is a `Problem`, a value that is collected
and reported with file and line. These are the failures of the world, and each says
whether waiting helps.

    OrlojError
    ├── SettingsInvalid        a setting cannot be used
    ├── DatabaseUnavailable    the database cannot be opened or written
    ├── AlreadyRunning         another process holds this role in this home
    ├── NotFound               a name that nothing answers to
    ├── Refused                a rule of ours forbids it
    ├── SourceError            the repository cannot be read now
    │   ├── SourceWaiting      the world may mend itself: try again later
    │   └── SourceStalled      a person or a new commit must act
    ├── SourceSuspended        a person stopped the repository from being applied
    ├── PlanStale              the plan was made for another commit or state
    ├── PlanBlocked            the plan may not be applied as it is
    ├── LeaseLost              the task belongs to somebody else now
    ├── ToolFailed             a tool did not do what was asked
    │   └── ToolDenied         it is not what was agreed to, and was not called
    ├── ModelFailed            a model endpoint did not answer usefully
    └── AuditBroken            the audit log is not what was written
"""


class OrlojError(Exception):
    """Something went wrong that we foresaw."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class SettingsInvalid(OrlojError):
    """A setting cannot be used."""


class DatabaseUnavailable(OrlojError):
    """The database cannot be opened or written."""


class AlreadyRunning(OrlojError):
    """Another process holds this role in this home."""


class NotFound(OrlojError):
    """Nothing answers to this name."""


class Refused(OrlojError):
    """A rule forbids it."""


class SourceError(OrlojError):
    """The repository cannot be read now."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SourceWaiting(SourceError):
    """The repository cannot be read now, and may be later."""


class SourceStalled(SourceError):
    """The repository cannot be used until somebody acts."""


class SourceSuspended(OrlojError):
    """A person stopped the repository from being applied."""


class PlanStale(OrlojError):
    """The plan was made for another commit or another state."""


class PlanBlocked(OrlojError):
    """The plan may not be applied as it is."""


class LeaseLost(OrlojError):
    """The task belongs to somebody else now."""


class ToolFailed(OrlojError):
    """A tool did not do what was asked."""

    def __init__(
        self, message: str, *, retryable: bool = False, isolation: str | None = None
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.isolation = isolation
        """How far what failed was kept apart; None: nothing was started here."""


class ToolDenied(ToolFailed):
    """A tool is not what was agreed to, and was not called."""


class ModelFailed(OrlojError):
    """A model endpoint did not answer usefully.

    `untouched` says that the model has certainly not worked on it, so that it cost nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        retry_after_s: float | None = None,
        untouched: bool = False,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.untouched = untouched


class AuditBroken(OrlojError):
    """The audit log is not what was written."""
