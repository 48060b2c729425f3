"""A sample of pairs through the whole runner: real processes, real HTTP, our command line.

    orloj apply ──> runner ──> worker ──asks──> the scripted model (HTTP)
                                  └──calls──> AgentDojo's tools (HTTP) ──> its own judges

The model obeys: it makes the user's calls, then the attacker's, then says the answer. The
guard's decisions are read from the audit log, which is verified at the end. What needs a
person is approved or denied by `orloj approve` and `orloj deny`.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from home import Home
from local_server import Answer, LocalServer, Received
from model_server import completion

from dojo import rules
from dojo.rules import Policy
from dojo.suites import Job, Made, Pair, Play, Suites
from runner.contract import settings
from runner.contract.kinds import Key

ENDED = {"succeeded", "failed", "dead"}
AGENT = Key("default", "Agent", "clerk")


@dataclass
class Sample:
    """What a policy did to a sample of pairs."""

    attacks: int = 0
    harmed: int = 0
    useful: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    called: int = 0
    """Calls that reached the tools' server."""


class Stage:
    """A home with a runner on it, the model and the tools; one pair is played at a time."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.model = LocalServer(self._said)
        self.tools = LocalServer(self._done)
        self.called = 0
        self._script: tuple[Made, ...] = ()
        self._says = ""
        self._play: Play | None = None

    def play(self, play: Play, user: Job, attack: Job, manifests: rules.Manifests) -> list[str]:
        """Have one pair carried out; the decisions on its calls."""
        self._play, self._says = play, user.says
        self._script = (*user.calls, *attack.calls)
        self._apply(manifests)
        (task,) = self.home.submit(AGENT)
        self._accompany(task, user)
        assert self.home.state(task) == "succeeded", self.home.orloj("task", task).stdout
        return [
            entry["decision"]
            for entry in self.home.entries(task)
            if entry["type"] == "action.decided" and "tool" in entry
        ]

    def _accompany(self, task: str, user: Job) -> None:
        """Be the person who gave the task: decide by the command line, until it ends."""
        approved = Counter(rules.approves(user))
        while True:
            self.home.wait([task], ENDED | {"waiting_approval"}, timeout_s=120)
            if self.home.state(task) in ENDED:
                return
            (request,) = json.loads(self.home.orloj("approvals", "list", "--json").stdout)
            call = request["call"]
            wanted = Made(call["tool"], call["arguments"]).bytes
            verb = ["approve"] if approved[wanted] else ["deny", "--reason", "not my task"]
            approved[wanted] -= 1
            decided = self.home.orloj(verb[0], request["id"], *verb[1:])
            assert decided.returncode == 0, decided.stderr

    def _apply(self, manifests: rules.Manifests) -> None:
        endpoint = {
            "apiVersion": "orloj.dev/v1",
            "kind": "ModelEndpoint",
            "metadata": {"name": "default"},
            "spec": {
                "provider": "openai-compatible",
                "base_url": f"{self.model.url}/v1",
                "default_model": "scripted",
            },
        }
        texts = (json.dumps(endpoint), manifests.agent, *manifests.tools)
        path = self.home.folder / "pair.yaml"
        path.write_text("\n---\n".join(texts), encoding="utf-8")
        done = self.home.orloj("apply", "-f", str(path), "--yes")
        assert done.returncode == 0, done.stderr

    def _said(self, request: Received) -> Answer:
        messages = json.loads(request.body)["messages"]
        turn = sum(message["role"] == "assistant" for message in messages)
        if turn >= len(self._script):
            return completion(self._says)
        made = self._script[turn]
        call = {"name": made.tool, "arguments": json.dumps(made.arguments)}
        return completion(None, [call])

    def _done(self, request: Received) -> Answer:
        assert self._play is not None
        self.called += 1
        arguments: dict[str, Any] = json.loads(request.body)
        said = self._play.call(Made(request.path.removeprefix("/"), arguments))
        return Answer(200, said.encode())


@contextmanager
def staged() -> Iterator[Stage]:
    """A stage while its runner runs; its log holds at the end."""
    with tempfile.TemporaryDirectory(prefix="orloj-dojo-") as folder:
        stage = Stage(Path(folder))
        stage.home.record("Namespace", "default", {"approvals": {"four_eyes": False}})
        person = {"emails": ["person@example.com"], "user": settings.person()}
        stage.home.record("Approver", "person", person)
        with stage.model.running(), stage.tools.running():
            with stage.home.runner(workers=1):
                yield stage
            verified = stage.home.orloj("audit", "verify")
            assert verified.returncode == 2, (
                "whole, and unsigned" + verified.stdout + verified.stderr
            )
        stage.home.close()


def measured(suites: Suites, policy: Policy, each: int) -> Sample:
    """The figures of a policy over `each` pairs of every suite, spread evenly."""
    sample = Sample()
    with staged() as stage:
        for pair in _spread(suites, each):
            play = suites.played(pair.user)
            tools = suites.tools(pair.user.suite)
            texts = rules.manifests(policy, pair.user, tools, stage.tools.url)
            sample.decisions.update(stage.play(play, pair.user, pair.attack, texts))
            sample.attacks += 1
            sample.harmed += play.harmed(pair.attack)
            sample.useful += play.useful()
        sample.called = stage.called
    return sample


def _spread(suites: Suites, each: int) -> Iterator[Pair]:
    by_suite: dict[str, list[Pair]] = {}
    for pair in suites.pairs():
        by_suite.setdefault(pair.user.suite, []).append(pair)
    for pairs in by_suite.values():
        for number in range(each):
            yield pairs[number * len(pairs) // each]
