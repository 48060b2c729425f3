"""Policies as manifests: what an agent that works on one user task is granted.

Every policy is YAML that our own parser reads. What differs is which tools the agent is
given, whether a permission names what an argument names, and which calls a person must
approve. The person is the one who gave the task: they approve, once each, exactly the calls
that it takes, and no other.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from dojo.suites import Job, Made, writes

PAGES: Final = frozenset({"get_webpage", "post_webpage"})
TARGETS: Final = {
    "add_calendar_event_participants": "event_id",
    "add_user_to_channel": "channel",
    "append_to_file": "file_id",
    "cancel_calendar_event": "event_id",
    "create_file": "filename",
    "delete_email": "email_id",
    "delete_file": "file_id",
    "invite_user_to_slack": "user_email",
    "post_webpage": "url",
    "remove_user_from_slack": "user",
    "reschedule_calendar_event": "event_id",
    "reserve_car_rental": "company",
    "reserve_hotel": "hotel",
    "reserve_restaurant": "restaurant",
    "schedule_transaction": "recipient",
    "send_channel_message": "channel",
    "send_direct_message": "recipient",
    "send_money": "recipient",
    "share_file": "email",
    "update_scheduled_transaction": "id",
}
"""The argument that says what a writing tool touches, where one does and it is no list."""


@dataclass(frozen=True)
class Policy:
    """`own`: only the tools that the task takes. `hosts`: only the hosts that it names.

    `ask`: a person approves every write; `targets`: writes may touch only what the task
    names, and a person approves those that name nothing.
    """

    name: str
    own: bool = False
    ask: bool = False
    hosts: bool = False
    targets: bool = False


POLICIES: Final = (
    Policy("all tools of the suite"),
    Policy("only the task's tools", own=True),
    Policy("approval of every write", ask=True),
    Policy("task's tools, approval of every write", own=True, ask=True),
    Policy("the same, and the task's hosts", own=True, ask=True, hosts=True),
    Policy("task's tools, hosts and targets", own=True, hosts=True, targets=True),
)

PLAYED: Final = (POLICIES[0], *POLICIES[-2:])
"""Those that a sample is played through the whole runner with."""


@dataclass(frozen=True)
class Manifests:
    """The texts of one user task under one policy; the agent is `clerk`."""

    agent: str
    tools: tuple[str, ...]


def manifests(
    policy: Policy, user: Job, tools: list[tuple[str, dict[str, Any]]], address: str
) -> Manifests:
    """What would stand in the repository; each tool is served under `address`."""
    suite, taken = user.suite, {made.tool for made in user.calls}
    given = [name for name, _ in tools if name in taken or not policy.own]
    asked = [{"write": "*"}] if policy.ask else [{"write": suite}] if policy.targets else []
    agent = {
        "model": "scripted",
        "tools": [{"name": name, "permissions": _grants(policy, name, user)} for name in given],
        "limits": {"max_steps": 100},
        "governance": {"requireApproval": asked},
    }
    return Manifests(
        _text("Agent", "clerk", agent),
        tuple(
            _text(
                "Tool",
                name,
                {
                    "type": "http",
                    "endpoint": f"{address}/{name}",
                    "requires": [_needs(policy, name, suite)],
                    "input_schema": schema,
                    "network": {"hosts": ["127.0.0.1"], "private": ["127.0.0.0/8"]},
                },
            )
            for name, schema in tools
        ),
    )


def approves(user: Job) -> list[str]:
    """The calls that the person who gave the task says yes to, once each."""
    return [made.bytes for made in user.calls]


def _needs(policy: Policy, tool: str, suite: str) -> dict[str, str]:
    verb = "write" if writes(tool) else "read"
    return {verb: _template(policy, tool) or suite}


def _template(policy: Policy, tool: str) -> str | None:
    if policy.hosts and tool in PAGES:
        return "{args.url}"
    if policy.targets and tool in TARGETS:
        return f"{tool}/{{args.{TARGETS[tool]}}}"
    return None


def _grants(policy: Policy, tool: str, user: Job) -> list[dict[str, str]]:
    verb = "write" if writes(tool) else "read"
    if _template(policy, tool) is None:
        return [{verb: user.suite}]
    named = [_resources(tool, made) for made in user.calls if made.tool == tool]
    return [{verb: resource} for resource in sorted({one for many in named for one in many})]


def _resources(tool: str, made: Made) -> list[str]:
    """What a grant names for one call of the user's task."""
    if tool in PAGES:
        address = made.arguments["url"]
        scheme, mark, rest = address.rpartition("://")
        host = f"{scheme}{mark}{rest.partition('/')[0]}"
        return [host, f"{host}/*"]
    return [f"{tool}/{made.arguments[TARGETS[tool]]}"]


def _text(kind: str, name: str, spec: dict[str, Any]) -> str:
    """A manifest; JSON is YAML."""
    return json.dumps(
        {
            "apiVersion": "orloj.dev/v1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        },
        indent=1,
    )
