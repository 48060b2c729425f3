"""Namespace: the rules of a whole namespace. It is named like the namespace it stands in."""

from typing import Literal

from pydantic import Field

from runner.contract.kinds.base import Duration, Reference, SecretAuth, Spec, Strict


class Notification(Strict):
    """Who is told of a request for approval: a webhook, plain or as Slack takes it."""

    url: str = Field(min_length=1)
    format: Literal["json", "slack"] = "json"
    auth: SecretAuth | None = None


class Approvals(Strict):
    """How calls are approved. Nobody in time is a no.

    `four_eyes`: nobody approves what a rule allows that they wrote or committed themselves.
    `assurance` `signature`: only an SSH signature counts, not the login of the host.
    """

    ttl: Duration = "1h"
    four_eyes: bool = True
    assurance: Literal["login", "signature"] = "login"
    notify: list[Notification] = []


class Namespace(Spec):
    """`compat: permissive` allows what no rule speaks of, as the public dialect does."""

    compat: Literal["strict", "permissive"] = "strict"
    approvals: Approvals = Approvals()

    def references(self, namespace: str) -> list[Reference]:
        """The Secrets that its notifications name."""
        return [
            Reference(
                hook.auth.secret(namespace)[0],
                ("spec", "approvals", "notify", index, "auth", "secretRef"),
                required=False,
            )
            for index, hook in enumerate(self.approvals.notify)
            if hook.auth is not None
        ]
