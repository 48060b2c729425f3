"""Approver: a person who may approve calls in this namespace, and how they are known."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from runner.contract.kinds.base import Spec


class Approver(Spec):
    """A person. `user` is a login name of the host, `keys` are public SSH keys.

    `emails` are those that the person commits under: four eyes are counted by them.
    """

    emails: list[str] = Field(min_length=1)
    user: str | None = Field(default=None, min_length=1)
    keys: list[str] = []

    @field_validator("keys")
    @classmethod
    def _public_keys(cls, keys: list[str]) -> list[str]:
        for key in keys:
            words = key.split()
            if len(words) < 2 or not words[0].startswith(("ssh-", "ecdsa-", "sk-")):
                raise ValueError("a key is one line: its type, then the key in base64")
            if "\n" in key:
                raise ValueError("a key is one line: its type, then the key in base64")
        return keys

    @model_validator(mode="after")
    def _can_be_known(self) -> Self:
        if self.user is None and not self.keys:
            raise ValueError("an approver needs a user or keys")
        return self
