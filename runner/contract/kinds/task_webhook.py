"""TaskWebhook: queue a task whenever somebody who knows a secret says that something happened.

A field that its profile does not look at is a mistake, since whoever wrote it relies on it.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from runner.contract.kinds.base import Reference, SecretAuth, Strict, misplaced
from runner.contract.kinds.trigger import Trigger

SKEW_S: Final = 300
_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400
_YEAR_S: Final = 365 * _DAY_S
_SIGNED: Final = ("signature_header", "signature_prefix")
_TIMED: Final = ("timestamp_header", "max_skew_seconds")
_USED: Final = {
    "generic": {*_SIGNED, *_TIMED},
    "github": {*_SIGNED},
    "shared_token": {*_SIGNED},
}
"""The fields each profile looks at; `hmac` looks at all, by its formats."""
_HEADERS: Final = {"generic": "X-Signature", "github": "X-Hub-Signature-256"}
_EVENT_HEADERS: Final = {"github": "X-GitHub-Delivery"}

Header = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")]
_Word = Annotated[str, Field(max_length=128, pattern=r"^[\x20-\x7e]*$")]
_Pair = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class WebhookAuth(SecretAuth):
    """How a delivery proves that its sender knows the Secret.

    `generic` and `github` sign as their names say, `hmac` as its fields say, and
    `shared_token` sends the secret itself. `max_skew_seconds: 0` means the default.
    """

    profile: Literal["generic", "github", "hmac", "shared_token"] = "generic"
    signature_header: Header | None = None
    signature_prefix: _Word | None = None
    timestamp_header: Header | None = None
    max_skew_seconds: int = Field(default=0, ge=0, le=_HOUR_S)
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    payload_format: Literal["body", "timestamp_dot_body", "prefix_timestamp_body"] = "body"
    payload_prefix: _Word | None = None
    payload_separator: _Word | None = None
    signature_encoding: Literal["hex", "base64"] = "hex"
    header_format: Literal["plain", "kv_pairs"] = "plain"
    signature_key: _Pair | None = None
    timestamp_key: _Pair | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.profile in ("hmac", "shared_token") and self.signature_header is None:
            raise ValueError(f"the profile {self.profile} needs signature_header")
        if self.profile == "hmac":
            self._complete_hmac()
        return self

    @model_validator(mode="after")
    def _nothing_idle(self) -> Self:
        used = self._used() | {"profile", "secret_ref"}
        for field in sorted(self.model_fields_set - used):
            if getattr(self, field) != type(self).model_fields[field].default:
                raise misplaced(field, f"it has no effect here: {self._why(field)}")
        return self

    def _complete_hmac(self) -> None:
        if self.header_format == "kv_pairs":
            if self.signature_key is None:
                raise ValueError("header_format kv_pairs needs signature_key, such as v1")
            if self.timed and self.timestamp_key is None:
                raise ValueError(
                    f"payload_format {self.payload_format} in kv_pairs needs timestamp_key,"
                    " such as t"
                )
        elif self.timed and self.timestamp_header is None:
            raise ValueError(f"payload_format {self.payload_format} needs timestamp_header")

    def _used(self) -> set[str]:
        if self.profile != "hmac":
            return set(_USED[self.profile])
        used = {"signature_header", "algorithm", "payload_format", "signature_encoding"}
        used.add("header_format")
        pairs = self.header_format == "kv_pairs"
        used.add("signature_key" if pairs else "signature_prefix")
        if self.timed:
            used |= {"max_skew_seconds", "timestamp_key" if pairs else "timestamp_header"}
        if self.payload_format == "prefix_timestamp_body":
            used |= {"payload_prefix", "payload_separator"}
        return used

    def _why(self, field: str) -> str:
        if self.profile != "hmac":
            others = [name for name, used in _USED.items() if field in used]
            return (
                f"the profile {self.profile} does not look at it; leave it out, or take"
                f" {' or '.join([*others, 'hmac'])}"
            )
        return (
            f"payload_format {self.payload_format} with header_format {self.header_format} does"
            " not look at it; leave it out, or change the format"
        )

    @property
    def timed(self) -> bool:
        """Whether the time of a delivery is signed, and looked at."""
        if self.profile == "hmac":
            return self.payload_format != "body"
        return self.profile == "generic"

    @property
    def header(self) -> str:
        """The header that the proof stands in."""
        return self.signature_header or _HEADERS[self.profile]

    @property
    def prefix(self) -> str:
        """What stands before the proof in its header."""
        if self.signature_prefix is not None:
            return self.signature_prefix
        return "sha256=" if self.profile in _HEADERS else ""

    @property
    def time_header(self) -> str:
        """The header that the time stands in, where it is no pair."""
        return self.timestamp_header or "X-Timestamp"

    @property
    def skew_s(self) -> int:
        """How far a delivery's time may be from ours."""
        return self.max_skew_seconds or SKEW_S


class WebhookIdempotency(Strict):
    """By what a delivery is known, and for how long. `dedupe_window_seconds: 0`: the default.

    `event_id_from_body` is the path to a text or a number in a JSON body, as in `data.id`.
    """

    event_id_header: Header | None = None
    event_id_from_body: str | None = Field(default=None, pattern=r"^[^.\s]+(\.[^.\s]+){0,7}$")
    dedupe_window_seconds: int = Field(default=0, ge=0, le=_YEAR_S)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.event_id_header is not None and self.event_id_from_body is not None:
            raise ValueError(
                "event_id_header and event_id_from_body are both given, and may differ:"
                " keep one"
            )
        return self


class WebhookPayload(Strict):
    """How a body becomes input: `raw` as one text, `json` by the names of the task's inputs."""

    mode: Literal["raw", "json"] = "raw"
    input_key: str = Field(default="webhook_payload", min_length=1, max_length=128)

    @model_validator(mode="after")
    def _key(self) -> Self:
        if self.mode == "json" and "input_key" in self.model_fields_set:
            raise misplaced(
                "input_key",
                "it has no effect with mode json, which fills the inputs by their names;"
                " leave it out, or take mode raw",
            )
        return self


class TaskWebhook(Trigger):
    """An address that queues a task for each delivery that is proved."""

    suspend: bool = False
    auth: WebhookAuth
    idempotency: WebhookIdempotency = WebhookIdempotency()
    payload: WebhookPayload = WebhookPayload()

    @property
    def event_header(self) -> str | None:
        """The header that says which event it is; None: the body does."""
        if self.idempotency.event_id_from_body is not None:
            return None
        default = _EVENT_HEADERS.get(self.auth.profile, "X-Event-Id")
        return self.idempotency.event_id_header or default

    @property
    def window_s(self) -> int:
        """How long an event is known; GitHub's, which sign no time, are for three days."""
        days = 3 if self.auth.profile == "github" else 1
        return self.idempotency.dedupe_window_seconds or days * _DAY_S

    def references(self, namespace: str) -> list[Reference]:
        """Its task, or what that works with, and its Secret; without it nothing is let in."""
        secret, _ = self.auth.secret(namespace)
        named = Reference(secret, ("spec", "auth", "secretRef"), required=False)
        return [*super().references(namespace), named]
