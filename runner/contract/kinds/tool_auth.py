"""How a call of a tool proves who it is: the profiles, and what each of them needs."""

import re
from typing import Final, Literal, Self

from pydantic import AliasChoices, Field, field_validator, model_validator

from runner.contract.kinds import network
from runner.contract.kinds.base import Key, SecretAuth

ENTRIES: Final = ("client_id", "client_secret")
"""The two entries of a Secret that hold what oauth2 needs, where one value does not."""

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_OURS: Final = frozenset(
    {"accept-encoding", "connection", "content-length", "content-type", "cookie", "host"}
    | {"idempotency-key", "te", "transfer-encoding", "upgrade", "x-tool-contract-version"}
)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")


class ToolAuth(SecretAuth):
    """How a call proves who it is.

    The Secret holds a token (`bearer`), a key (`api_key_header`), `user:password` (`basic`),
    or for `oauth2_client_credentials` `client_id:client_secret`, or two entries of these names.
    """

    profile: Literal["bearer", "api_key_header", "basic", "oauth2_client_credentials"] = (
        "bearer"
    )
    header_name: str | None = Field(
        default=None,
        validation_alias=AliasChoices("headerName", "header_name"),
        serialization_alias="headerName",
    )
    token_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("tokenURL", "token_url", "tokenUrl"),
        serialization_alias="tokenURL",
    )
    scopes: list[str] = []

    @field_validator("header_name")
    @classmethod
    def _header(cls, name: str | None) -> str | None:
        if name is not None and not _HEADER.fullmatch(name):
            raise ValueError("a header's name has letters, digits and dashes, as in X-API-Key")
        if name is not None and name.lower() in _OURS:
            raise ValueError(f"the header {name} belongs to the request; name another one")
        return name

    @field_validator("token_url")
    @classmethod
    def _token_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        place = network.endpoint(url)
        if place.user is not None:
            raise ValueError("a user in tokenURL would be ignored; secretRef says who we are")
        if place.scheme != "https" and place.host.name not in _LOOPBACK:
            raise ValueError("tokenURL begins with https: what it is sent is a secret")
        return url

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, scopes: list[str]) -> list[str]:
        for scope in scopes:
            if not _SCOPE.fullmatch(scope):
                raise ValueError(f"{scope!r} is no scope: it has no space, quote or backslash")
        return scopes

    @model_validator(mode="after")
    def _whole(self) -> Self:
        key, oauth = self.profile == "api_key_header", self.profile.startswith("oauth2")
        if key != (self.header_name is not None):
            raise ValueError(
                "profile api_key_header needs headerName"
                if key
                else f"headerName is for profile api_key_header, and this is {self.profile}"
            )
        if oauth != (self.token_url is not None):
            raise ValueError(
                f"profile {self.profile} needs tokenURL"
                if oauth
                else f"tokenURL is for oauth2_client_credentials, and this is {self.profile}"
            )
        if self.scopes and not oauth:
            raise ValueError("scopes are for profile oauth2_client_credentials")
        return self

    def entries(self, namespace: str) -> list[tuple[Key, str]]:
        """Every entry of the Secret that the profile may take its value from."""
        key, entry = self.secret(namespace)
        if not self.profile.startswith("oauth2") or ":" in self.secret_ref:
            return [(key, entry)]
        return [(key, entry), *((key, name) for name in ENTRIES)]
