"""Secret: a value that others name and nobody prints.

What stands here after loading is never the value: `sealed` replaces it by a keyed digest,
so that a plan can say "changed" and no row, cache or diff holds the text.
"""

from typing import Final, Self

from pydantic import AliasChoices, Field, field_validator, model_validator

from runner.contract.kinds.base import Name, Spec

SEALED: Final = "sealed"
"""What a sealed value begins with, before the id of its key."""


class Secret(Spec):
    """A secret: values in the manifest (`data` is base64), or where the host keeps them.

    `from_env` names an environment variable of the runner that the settings allow;
    `from_file` a file in the runner's credentials folder; `sealed` holds what a SealedSecret
    of this name declares. Other namespaces may name it only
    if `allowed_namespaces` lists them.
    """

    data: dict[str, str] = {}
    string_data: dict[str, str] = Field(
        default={},
        validation_alias=AliasChoices("stringData", "string_data"),
        serialization_alias="stringData",
    )
    from_env: dict[str, str] = Field(
        default={},
        validation_alias=AliasChoices("fromEnv", "from_env"),
        serialization_alias="fromEnv",
    )
    from_file: dict[str, str] = Field(
        default={},
        validation_alias=AliasChoices("fromFile", "from_file"),
        serialization_alias="fromFile",
    )
    sealed: dict[str, str] = {}
    allowed_namespaces: list[Name] = Field(
        default=[],
        validation_alias=AliasChoices("allowedNamespaces", "allowed_namespaces"),
        serialization_alias="allowedNamespaces",
    )

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        here = self.data or self.string_data or self.sealed
        if not (here or self.from_env or self.from_file):
            raise ValueError("a secret needs stringData, data, fromEnv or fromFile")
        return self

    @field_validator("sealed")
    @classmethod
    def _are_sealed(cls, values: dict[str, str]) -> dict[str, str]:
        # The value is checked where a SealedSecret is read; a plain one must never pass here.
        if not all(value.startswith(f"{SEALED}:") for value in values.values()):
            raise ValueError("not sealed; write a SealedSecret, as `orloj secret seal` does")
        return values

    def serves(self, own: str, namespace: str) -> bool:
        """Whether a resource of a namespace may use it, when it stands in `own` itself."""
        return namespace == own or namespace in self.allowed_namespaces
