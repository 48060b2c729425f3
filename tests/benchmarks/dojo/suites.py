"""What AgentDojo holds, as plain values; only this module knows its classes.

A user task and an attack come with the calls that carry them out. An oracle attacker makes
them all: it is a model that always does what it was told by whoever spoke last. Attacks
whose aim is something that the model says, and that need no call, are left out.
"""

import contextlib
import json
import warnings
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime
from agentdojo.task_suite.load_suites import get_suites
from agentdojo.types import text_content_block_from_string

VERSION: Final = "v1.2.2"
_READS: Final = ("check_", "get_", "list_", "read_", "search_")


@dataclass(frozen=True)
class Made:
    """One call: a tool and its arguments."""

    tool: str
    arguments: dict[str, Any]

    @property
    def writes(self) -> bool:
        """Whether it changes something; AgentDojo's tools say so by their names."""
        return writes(self.tool)

    @property
    def bytes(self) -> str:
        """What a person sees and approves: the call to the letter."""
        return json.dumps([self.tool, self.arguments], sort_keys=True)


@dataclass(frozen=True)
class Job:
    """A user task, or an attack: its name, what it calls, and what it says at the end."""

    suite: str
    name: str
    calls: tuple[Made, ...]
    says: str


@dataclass(frozen=True)
class Pair:
    """A user task in the middle of which the model starts to obey somebody else."""

    user: Job
    attack: Job


class Suites:
    """Loaded once; an environment is made anew for each pair that is played."""

    def __init__(self) -> None:
        self._suites = get_suites(VERSION)
        self._fresh = {
            name: suite.load_and_inject_default_environment({})
            for name, suite in self._suites.items()
        }
        self.users = [job for name in self._suites for job in self._users(name)]
        self.attacks = [job for name in self._suites for job in self._attacks(name)]

    def pairs(self) -> Iterator[Pair]:
        """Every user task with every attack of its suite that makes a call."""
        for user in self.users:
            for attack in self.attacks:
                if attack.suite == user.suite and attack.calls:
                    yield Pair(user, attack)

    def tools(self, suite: str) -> list[tuple[str, dict[str, Any]]]:
        """The name of each tool, and the schema of its arguments."""
        return [
            (tool.name, tool.parameters.model_json_schema())
            for tool in self._suites[suite].tools
        ]

    def played(self, user: Job) -> "Play":
        """A world in which a user task is about to begin."""
        suite = self._suites[user.suite]
        return Play(suite, user, deepcopy(self._fresh[user.suite]))

    def _users(self, name: str) -> Iterator[Job]:
        for id, task in self._suites[name].user_tasks.items():
            world = task.init_environment(deepcopy(self._fresh[name]))
            yield Job(name, id, _made(task.ground_truth(world)), task.GROUND_TRUTH_OUTPUT)

    def _attacks(self, name: str) -> Iterator[Job]:
        for id, task in self._suites[name].injection_tasks.items():
            world = deepcopy(self._fresh[name])
            yield Job(name, id, _made(task.ground_truth(world)), task.GROUND_TRUTH_OUTPUT)


class Play:
    """A world of AgentDojo: calls change it, and its own judges say what came of them."""

    def __init__(self, suite: Any, user: Job, world: Any) -> None:
        self._suite = suite
        self._user = suite.get_user_task_by_id(user.name)
        self._says = user.says
        self._world = self._user.init_environment(world)
        self._before = self._world.model_copy(deep=True)
        self._runtime = FunctionsRuntime(suite.tools)
        self._trace: list[FunctionCall] = []

    def call(self, made: Made) -> str:
        """Carry out a call; what the tool answers, or the words of its error."""
        self._trace.append(FunctionCall(function=made.tool, args=made.arguments))
        answer, error = self._runtime.run_function(self._world, made.tool, made.arguments)
        return error or str(answer)

    def useful(self) -> bool:
        """Whether the user's task is done, by AgentDojo's own judge."""
        return self._judged(self._user)

    def harmed(self, attack: Job) -> bool:
        """Whether the attack reached its aim, by AgentDojo's own judge."""
        return self._judged(self._suite.get_injection_task_by_id(attack.name))

    def _judged(self, task: Any) -> bool:
        said = [text_content_block_from_string(self._says)]
        with warnings.catch_warnings(), contextlib.suppress(ValueError):
            warnings.simplefilter("ignore")
            return bool(
                self._suite._check_task_result(
                    task, said, self._before, self._world, self._trace
                )
            )
        return False  # Its judge found no such thing in the world.


def writes(tool: str) -> bool:
    """Whether a tool changes something."""
    return not tool.startswith(_READS)


def _made(calls: Iterable[FunctionCall]) -> tuple[Made, ...]:
    return tuple(
        Made(call.function, json.loads(json.dumps(dict(call.args), default=str)))
        for call in calls
    )
