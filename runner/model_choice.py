"""The endpoints that may answer an agent's question, in the order they are asked. Pure.

    its own ──> those the agent falls back on ──> those its own endpoint falls back on

One is asked after the other, within one step, as long as those before it are busy or out of
reach. Each question is decided, reserved and logged for itself. No endpoint is asked twice
for the same model, and what a fallback falls back on is not followed: the list ends.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from runner.contract.errors import ModelFailed, NotFound
from runner.contract.kinds import Key, ModelEndpoint
from runner.contract.kinds.model_endpoint import FALLBACKS
from runner.conversation import ModelReply
from runner.manifest_set import ManifestSet, PlacedAgent

OWN: Final = 0
"""The number of the agent's own endpoint."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An endpoint, the model to ask it for, and the line that names it (`path:line`)."""

    key: Key
    endpoint: ModelEndpoint
    model: str
    at: str

    @property
    def called(self) -> str:
        """As people are told of it: `namespace/name`."""
        return f"{self.key.namespace}/{self.key.name}"


def choices(manifests: ManifestSet, agent: PlacedAgent) -> tuple[Choice, ...]:
    """All of them, the agent's own first; NotFound when one is not declared."""
    found: dict[tuple[Key, str], Choice] = {}
    for choice in _in_order(manifests, agent):
        found.setdefault((choice.key, choice.model), choice)
    return tuple(found.values())


def numbered(manifests: ManifestSet, agent: PlacedAgent, number: int) -> Choice:
    """The choice of this number, from 0; NotFound when there are fewer."""
    if number == OWN:
        return next(_in_order(manifests, agent))
    found = choices(manifests, agent)
    if not 0 < number < len(found):
        raise NotFound(f"{agent.key} has no model endpoint of the number {number}")
    return found[number]


def named_at(manifests: ManifestSet, agent: PlacedAgent, model: str, at: str) -> str | None:
    """The line, if a fallback on this model is named there, and not the agent's own."""
    try:
        own, *found = choices(manifests, agent)
    except NotFound:
        return None
    if (own.model, own.at) == (model, at):
        return None
    return next((one.at for one in found if (one.model, one.at) == (model, at)), None)


async def first(
    choices: Sequence[Choice],
    ask: Callable[[int, Choice], Awaitable[ModelReply]],
    passed: Callable[[Choice], None],
) -> ModelReply:
    """The first reply of those that are asked in order; ModelFailed when nobody answers.

    A mistake of the first is told at once: it would not be the smaller elsewhere. `passed`
    is told of each that the next is asked instead of.
    """
    failures: list[tuple[Choice, ModelFailed]] = []
    for number, choice in enumerate(choices):
        try:
            return await ask(number, choice)
        except ModelFailed as error:
            if number == OWN and not error.retryable:
                raise
            failures.append((choice, error))
        if choice is not choices[-1]:
            passed(choice)
    raise _together(failures)


def _together(failures: list[tuple[Choice, ModelFailed]]) -> ModelFailed:
    """What to say when nobody answered: each reason, and whether to come back and when."""
    if len(failures) == 1:
        return failures[0][1]
    waits = [one.retry_after_s for _, one in failures if one.retry_after_s is not None]
    return ModelFailed(
        "; ".join(f"{choice.called}: {error}" for choice, error in failures),
        # The first was busy or out of reach, or no other would have been asked.
        retryable=True,
        retry_after_s=min(waits) if len(waits) == len(failures) else None,
    )


def _in_order(manifests: ManifestSet, agent: PlacedAgent) -> Iterator[Choice]:
    key, endpoint, model = manifests.endpoint(agent)
    own = "/spec/model_ref" if agent.spec.model_ref is not None else "/spec/model"
    yield Choice(key, endpoint, model, agent.at(own))
    placed = manifests.resources[key]
    for reference in agent.spec.fallbacks(agent.key.namespace):
        yield _fallback(manifests, reference.target, agent.at(_pointer(reference.path[-1])))
    for reference in endpoint.fallbacks(key.namespace):
        yield _fallback(manifests, reference.target, placed.at(_pointer(reference.path[-1])))


def _fallback(manifests: ManifestSet, key: Key, at: str) -> Choice:
    if key not in manifests.resources:
        raise NotFound(f"there is no ModelEndpoint {key.namespace}/{key.name} ({at})")
    endpoint = manifests.spec(manifests.resources[key], ModelEndpoint)
    return Choice(key, endpoint, endpoint.default_model, at)


def _pointer(index: str | int) -> str:
    return f"/spec/{FALLBACKS}/{index}"
