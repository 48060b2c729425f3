"""What every kind is made of: names, durations, permissions and the strict model.

Both spellings of a field are read (`max_steps` and `maxSteps`); a field that nobody
knows is refused. Values are frozen.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails

API_VERSION = "orloj.dev/v1"
NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$"
DEFAULT_NAMESPACE = "default"

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_VERB = re.compile(r"^[a-z][a-z_]{0,31}$")


class Key(NamedTuple):
    """The identity of a resource."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        """As people write it: `agent/default/triage`."""
        return f"{self.kind.lower()}/{self.namespace}/{self.name}"


class Reference(NamedTuple):
    """One resource naming another. `required` says whether it must exist to be valid."""

    target: Key
    path: tuple[str | int, ...]
    required: bool = True


def _spellings(field: str) -> AliasChoices:
    return AliasChoices(field, to_camel(field))


class Strict(BaseModel):
    """A frozen value that knows each of its fields and refuses all others."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        # Most processes use a few kinds of many, and building one takes milliseconds.
        defer_build=True,
        alias_generator=AliasGenerator(validation_alias=_spellings),
    )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        # pydantic copies every default that is a model; a frozen one may be shared, which
        # saves a tenth of the time a manifest takes.
        return self


def seconds(duration: str) -> float:
    """The length of `1h30m`, `250ms` or `0s` in seconds; ValueError when it is not one."""
    parts = _DURATION_PART.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError("a duration looks like 30s, 250ms or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _duration(text: str) -> str:
    seconds(text)
    return text


Duration = Annotated[str, AfterValidator(_duration)]


def _amount(value: Any) -> Any:
    # A manifest is checked strictly, and YAML has no decimals: `2.5` is read as it is written.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        return Decimal(str(value))
    except InvalidOperation as error:
        raise ValueError("an amount looks like 2.5") from error


Amount = Annotated[Decimal, BeforeValidator(_amount)]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Text = Annotated[str, Field(max_length=262_144)]


class Permission(Strict):
    """`verb: resource`, as in `read: compliance_docs`; the public dialect writes one text.

    In a grant `*` stands for any run of characters; in what a call needs it never does.
    """

    verb: str
    resource: str

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, value: Any) -> Any:
        if isinstance(value, str) and ":" in value:
            verb, _, resource = value.partition(":")
            return {"verb": verb.strip(), "resource": resource.strip()}
        if isinstance(value, dict) and len(value) == 1:
            ((verb, resource),) = value.items()
            if isinstance(verb, str) and isinstance(resource, str):
                return {"verb": verb, "resource": resource}
        raise ValueError("a permission is one pair, `verb: resource`, as in `read: invoices`")

    @model_validator(mode="after")
    def _well_formed(self) -> Self:
        if not _VERB.match(self.verb) or not self.resource.strip():
            raise ValueError(
                "a permission is one pair, `verb: resource`, as in `read: invoices`"
            )
        return self

    @model_serializer
    def _to_pair(self) -> dict[str, str]:
        return {self.verb: self.resource}

    @classmethod
    def of(cls, verb: str, resource: str) -> Self:
        """The permission of a verb on a resource; ValueError for what is none."""
        return cls.model_validate({verb: resource})

    def __str__(self) -> str:
        """As the log writes it: `read:compliance_docs`."""
        return f"{self.verb}:{self.resource}"

    def covers(self, needed: "Permission") -> bool:
        """Whether this grant is enough for what a call needs; letter by letter, no folding."""
        if self.verb != needed.verb:
            return False
        if "*" not in self.resource:
            return self.resource == needed.resource
        parts = (re.escape(part) for part in self.resource.split("*"))
        return re.fullmatch(".*".join(parts), needed.resource, re.DOTALL) is not None


class Metadata(Strict):
    """Who a resource is. The last three fields are written by servers and ignored here."""

    name: Name
    namespace: Name = DEFAULT_NAMESPACE
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    resource_version: str | None = Field(default=None, exclude=True)
    generation: int | None = Field(default=None, exclude=True)
    created_at: str | None = Field(default=None, exclude=True)


class SecretAuth(Strict):
    """Which Secret proves who we are: `[namespace/]name[:entry]`."""

    secret_ref: str = Field(
        validation_alias=AliasChoices("secretRef", "secret_ref"),
        serialization_alias="secretRef",
        min_length=1,
    )

    def secret(self, namespace: str) -> tuple[Key, str]:
        """The Secret's key and the entry to take from it."""
        name, _, entry = self.secret_ref.partition(":")
        return named("Secret", name, namespace), entry or "value"

    def entries(self, namespace: str) -> list[tuple[Key, str]]:
        """Every entry that the value may be taken from."""
        return [self.secret(namespace)]

    def value(self, namespace: str, values: Mapping[str, str]) -> str | None:
        """The value, of those known by `namespace/name:entry`; None: it has none here.

        Where it may stand in several entries, the first holds it whole, and the others hold
        its parts: `client_id`, `client_secret`.
        """
        first, *parts = (
            values.get(f"{key.namespace}/{key.name}:{entry}")
            for key, entry in self.entries(namespace)
        )
        found = [part for part in parts if part is not None]
        whole = bool(parts) and len(found) == len(parts)
        return ":".join(found) if first is None and whole else first


def _day(value: Any) -> Any:
    # Values of a manifest are checked strictly, and a text is no date then.
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise ValueError("a day looks like 2027-03-31") from error


class AcceptedRisk(Strict):
    """A finding of the plan that somebody answers for, until a day (`2027-03-31`)."""

    risk: Literal["lethal-trifecta"]
    owner: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    expires: Annotated[date, BeforeValidator(_day)]


class Spec(Strict):
    """The part of a manifest that its kind defines."""

    def references(self, namespace: str) -> list[Reference]:
        """The other resources that this one names."""
        return []


def misplaced(field: str, message: str) -> ValidationError:
    """The error of one field that only the whole value shows, at the place of the field."""
    details = InitErrorDetails(
        type="value_error", loc=(field,), input=None, ctx={"error": ValueError(message)}
    )
    return ValidationError.from_exception_data(field, [details])


def named(kind: str, ref: str, namespace: str) -> Key:
    """The key that `name` or `namespace/name` stands for."""
    head, slash, tail = ref.partition("/")
    return Key(head, kind, tail) if slash else Key(namespace, kind, head)


def only_one_of(*fields: str) -> Callable[[Any], Any]:
    """A validator: exactly one of the fields is set."""

    def check(value: Any) -> Any:
        given = [field for field in fields if getattr(value, field) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of {' and '.join(fields)}")
        return value

    return check
