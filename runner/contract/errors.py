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

from enum import StrEnum


class ToolCode(StrEnum):
    """Why a tool call did not do what was asked: the codes of tool contract v1."""

    INVALID_INPUT = "invalid_input"
    """The arguments are not what the tool takes; the same again will not do."""
    UNSUPPORTED_TOOL = "unsupported_tool"
    """There is no such tool, or this host cannot run its type."""
    RUNTIME_POLICY_INVALID = "runtime_policy_invalid"
    """The manifest asks for what cannot be done: an unusable schema, an address refused."""
    ISOLATION_UNAVAILABLE = "isolation_unavailable"
    """The isolation that the manifest asks for cannot be given on this host."""
    PERMISSION_DENIED = "permission_denied"
    """A rule forbids the call, or the tool's own server does."""
    SECRET_RESOLUTION_FAILED = "secret_resolution_failed"  # noqa: S105 - a name, no secret.
    """The tool's secret has no value here, or not the form that its profile needs."""
    TIMEOUT = "timeout"
    """No answer came within `runtime.timeout`."""
    CANCELED = "canceled"
    """The tool says that the call was called off."""
    EXECUTION_FAILED = "execution_failed"
    """The tool could not be reached, or did not succeed."""
    AUTH_INVALID = "auth_invalid"
    """The other side does not believe who we are."""
    AUTH_EXPIRED = "auth_expired"
    """What proved who we are has run out."""
    AUTH_FORBIDDEN = "auth_forbidden"
    """The other side knows who we are and will not have us do this."""
    APPROVAL_PENDING = "approval_pending"
    """A person has still to decide."""
    APPROVAL_DENIED = "approval_denied"
    """A person said no."""
    APPROVAL_TIMEOUT = "approval_timeout"
    """Nobody decided in time."""


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
    """A tool did not do what was asked.

    `untouched` says that nothing was done for certain, so that anybody may try again.
    `retry_after_s` is how long the other side asks to be left alone.
    """

    def __init__(
        self,
        message: str,
        *,
        code: ToolCode = ToolCode.EXECUTION_FAILED,
        retryable: bool = False,
        untouched: bool = False,
        retry_after_s: float | None = None,
        isolation: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.untouched = untouched
        self.retry_after_s = retry_after_s
        self.isolation = isolation
        """How far what failed was kept apart; None: nothing was started here."""


class ToolDenied(ToolFailed):
    """A tool is not what was agreed to, and was not called."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=ToolCode.PERMISSION_DENIED, untouched=True)


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
