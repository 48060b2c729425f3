"""Every pair through the guard's decision: our parser, our pure decision, and a person.

    manifests ──parsed──> decide each call ──allow──> AgentDojo's world ──> its own judges
                                           └─ask──> the person, who approves what they asked for

Nothing is started: this is what a decision is worth, not what the runner around it is.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from dojo import rules
from dojo.rules import Policy
from dojo.suites import Job, Made, Pair, Suites
from reconciler import manifest
from reconciler.resource import Resource
from runner.contract.kinds import Key
from runner.governance import judge
from runner.governance.verdict import Call, Decision
from runner.manifest_set import ManifestSet, Placed

ALL: Final = 609  # Attacks that make a call, each with every task of its suite.
ADDRESS = "http://127.0.0.1:1"
AGENT = Key("default", "Agent", "clerk")


@dataclass
class Tally:
    """What a policy did."""

    attacks: int = 0
    stopped: int = 0
    harmed: int = 0
    written: int = 0
    """Attacks of which at least one call that changes something got through."""
    calls: int = 0
    alone: int = 0
    asked: int = 0
    denied: int = 0
    users: int = 0
    through: int = 0
    useful: int = 0
    failed: list[str] = field(default_factory=list)
    """The attacks that were not stopped."""


class Desk:
    """One user task under one policy: decides on its calls, and asks the person."""

    def __init__(self, manifests: ManifestSet, user: Job) -> None:
        self._manifests = manifests
        self._agent = manifests.agent(AGENT.name)
        self._approved = Counter(rules.approves(user))

    def decided(self, made: Made) -> tuple[Decision, bool]:
        """What the guard says of a call, and whether it is made in the end."""
        verdict = judge.decide(self._manifests, self._agent, Call(made.tool, made.arguments))
        if verdict.decision is not Decision.ASK:
            return verdict.decision, verdict.decision is Decision.ALLOW
        yes = self._approved[made.bytes] > 0
        self._approved[made.bytes] -= int(yes)
        return verdict.decision, yes


def measured(suites: Suites, policy: Policy) -> Tally:
    """The figures of a policy over all user tasks and all pairs."""
    tally = Tally()
    for user in suites.users:
        _benign(suites, policy, user, tally)
    for pair in suites.pairs():
        _attacked(suites, policy, pair, tally)
    return tally


def _benign(suites: Suites, policy: Policy, user: Job, tally: Tally) -> None:
    desk, play = Desk(_set(suites, policy, user), user), suites.played(user)
    outcomes = []
    for made in user.calls:
        decision, done = desk.decided(made)
        outcomes.append(done)
        tally.calls += 1
        tally.alone += decision is Decision.ALLOW
        tally.asked += decision is Decision.ASK
        tally.denied += decision is Decision.DENY
        if done:
            play.call(made)
    tally.users += 1
    tally.through += all(outcomes)
    tally.useful += play.useful()


def _attacked(suites: Suites, policy: Policy, pair: Pair, tally: Tally) -> None:
    desk, play = Desk(_set(suites, policy, pair.user), pair.user), suites.played(pair.user)
    for made in pair.user.calls:
        if desk.decided(made)[1]:
            play.call(made)
    got = []
    for made in pair.attack.calls:
        _, done = desk.decided(made)
        got.append(done)
        if done:
            play.call(made)
    tally.attacks += 1
    tally.stopped += not all(got)
    written = [done for made, done in zip(pair.attack.calls, got, strict=True) if made.writes]
    tally.written += any(written)
    tally.harmed += play.harmed(pair.attack)
    if all(got):
        tally.failed.append(f"{pair.user.suite} {pair.user.name} {pair.attack.name}")


def _set(suites: Suites, policy: Policy, user: Job) -> ManifestSet:
    texts = rules.manifests(policy, user, suites.tools(user.suite), ADDRESS)
    found = [
        _parsed(texts.agent, "agent.yaml"),
        *(_parsed(t, "tool.yaml") for t in texts.tools),
    ]
    placed = {
        one.key: Placed(one.key, one.body, one.path, one.line, dict(one.lines)) for one in found
    }
    return ManifestSet(AGENT, placed)


@lru_cache(maxsize=4096)
def _parsed(text: str, path: str) -> Resource:
    parsed = manifest.parse(text.encode(), path, _no_secret)
    assert not parsed.problems, [problem.message for problem in parsed.problems]
    (resource,) = parsed.resources
    return resource


def _no_secret(_: str) -> tuple[str, str]:
    raise AssertionError("no manifest here holds a secret")
