"""SealedSecret: a Secret that may stand in Git, because only one home can open its values.

It declares the Secret of its own name: whoever names a Secret is given what this one seals,
and a Secret of the same name beside it is a name given twice.
"""

import base64
import binascii
from typing import Annotated, Final, Self

from pydantic import AfterValidator, AliasChoices, Field, field_validator

from runner.contract.kinds.annotations import PREFIX
from runner.contract.kinds.base import Name, Spec, Strict
from runner.contract.kinds.secret import SEALED, Secret

_CHARACTERS_MAX: Final = 131_072


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64; `orloj secret seal` writes these fields") from error
    return text


Packed = Annotated[
    str, Field(min_length=1, max_length=_CHARACTERS_MAX), AfterValidator(_base64)
]


class SealedEntry(Strict):
    """One sealed value: which sealing key wrapped its own key, and the value under that key."""

    key_id: str = Field(
        pattern=r"^[0-9a-f]{32}$",
        validation_alias=AliasChoices("keyId", "key_id"),
        serialization_alias="keyId",
    )
    wrapped_key: Packed = Field(
        validation_alias=AliasChoices("wrappedKey", "wrapped_key"),
        serialization_alias="wrappedKey",
    )
    ciphertext: Packed

    def __str__(self) -> str:
        """As a Secret keeps it, in one text."""
        return ":".join((SEALED, self.key_id, self.wrapped_key, self.ciphertext))

    @classmethod
    def of(cls, text: str) -> Self:
        """The entry that a Secret keeps as one text; ValueError."""
        mark, *parts = text.split(":")
        if mark != SEALED or len(parts) != len(cls.model_fields):
            raise ValueError("a sealed value is sealed:KEY_ID:WRAPPED_KEY:CIPHERTEXT")
        return cls(key_id=parts[0], wrapped_key=parts[1], ciphertext=parts[2])


class SecretTemplate(Strict):
    """Labels and annotations that the Secret has besides those of the SealedSecret."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}

    @field_validator("annotations")
    @classmethod
    def _of_others(cls, annotations: dict[str, str]) -> dict[str, str]:
        if any(name.startswith(PREFIX) for name in annotations):
            raise ValueError("what Orloj acts on stands under metadata.annotations")
        return annotations


class SealedSecret(Spec):
    """Sealed values by the name of their entry; each opens under this name and no other.

    `orloj secret seal` writes it. Other namespaces may name it only if `allowed_namespaces`
    lists them.
    """

    encrypted_data: dict[str, SealedEntry] = Field(
        min_length=1,
        validation_alias=AliasChoices("encryptedData", "encrypted_data"),
        serialization_alias="encryptedData",
    )
    template: SecretTemplate = SecretTemplate()
    allowed_namespaces: list[Name] = Field(
        default=[],
        validation_alias=AliasChoices("allowedNamespaces", "allowed_namespaces"),
        serialization_alias="allowedNamespaces",
    )

    def secret(self) -> Secret:
        """The Secret that it declares."""
        return Secret(
            sealed={entry: str(sealed) for entry, sealed in self.encrypted_data.items()},
            allowed_namespaces=self.allowed_namespaces,
        )
