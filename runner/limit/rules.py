"""Which limits of the manifests a call falls under, and which line sets each. Pure.

Over a hand-off, what an agent uses counts for every agent whose work led to it: nobody gets
more by handing on. A place among the tasks of an agent is its own alone.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from runner import model_choice
from runner.contract.errors import Refused
from runner.contract.kinds.model_endpoint import Price
from runner.governance import policies
from runner.limit.limits import OUTPUT_DEFAULT, Dimension, Limit
from runner.manifest_set import ManifestSet, PlacedAgent
from runner.model_choice import Choice

_MILLION: Final = 1_000_000


def of_model(
    manifests: ManifestSet,
    agent: PlacedAgent,
    task: str,
    task_name: str | None,
    choice: int = model_choice.OWN,
) -> list[Limit]:
    """The limits of a question to a model of the agent's; Refused without a price."""
    found = list(_of_chain(manifests, agent, task, choice))
    seen = set()
    for member in manifests.chain(agent):
        for placed, policy in policies.applying(manifests, member, task_name):
            if policy.max_tokens_per_run is not None and placed.key not in seen:
                seen.add(placed.key)
                rule = placed.at("/spec/max_tokens_per_run")
                scope = f"{task} {placed.key}"
                bound = policy.max_tokens_per_run
                found.append(Limit(Dimension.TOKENS_PER_RUN, scope, bound, rule))
    places = agent.spec.governance.max_concurrent
    if places is not None:
        rule = agent.at("/spec/governance/maxConcurrent")
        found.append(Limit(Dimension.CONCURRENT_TASKS, _name(agent), places, rule))
    return found


def of_tool(manifests: ManifestSet, agent: PlacedAgent, name: str) -> list[Limit]:
    """The limits of a tool's call: how often it may be called by all agents together."""
    tool = manifests.tool(agent, name)
    if tool is None or tool.spec.limits.max_calls_per_minute is None:
        return []
    scope = f"{tool.key.namespace}/{tool.key.name}"
    rule = tool.at("/spec/limits/max_calls_per_minute")
    bound = tool.spec.limits.max_calls_per_minute
    return [Limit(Dimension.CALLS_PER_MINUTE, scope, bound, rule)]


def output_wanted(agent: PlacedAgent) -> int:
    """How long an answer of the model of an agent may be whose tokens are counted."""
    return agent.spec.limits.max_output_tokens or OUTPUT_DEFAULT


def prices(
    manifests: ManifestSet, agent: PlacedAgent, choice: int = model_choice.OWN
) -> Price | None:
    """What a million tokens of a model of the agent's cost; None when nobody says."""
    return _price(model_choice.numbered(manifests, agent, choice))


def _price(asked: Choice) -> Price | None:
    return asked.endpoint.prices.get(asked.model, asked.endpoint.prices.get("*"))


def _of_chain(
    manifests: ManifestSet, agent: PlacedAgent, task: str, choice: int
) -> Iterator[Limit]:
    for member in manifests.chain(agent):
        rules, name = member.spec.governance, _name(member)

        def at(field: str, member: PlacedAgent = member) -> str:
            return member.at(f"/spec/governance/{field}")

        if (bound := rules.max_tokens_per_minute) is not None:
            rule = at("maxTokensPerMinute")
            yield Limit(Dimension.TOKENS_PER_MINUTE, name, bound, rule)
        if (bound := rules.max_tokens_per_run) is not None:
            scope, rule = f"{task} {name}", at("maxTokensPerRun")
            yield Limit(Dimension.TOKENS_PER_RUN, scope, bound, rule)
        if rules.max_cost_per_day is not None:
            asked = model_choice.numbered(manifests, agent, choice)
            yield _of_cost(asked, name, rules.max_cost_per_day, at("maxCostPerDay"))


def _of_cost(asked: Choice, name: str, bound: Decimal, rule: str) -> Limit:
    price, model = _price(asked), asked.model
    if price is None:
        raise Refused(
            f"maxCostPerDay of {name} ({rule}) needs the price of the model {model}; add"
            f" spec.prices with {model} or '*' to the ModelEndpoint {asked.called}"
        )
    micro = int(bound * _MILLION)  # Rounded down: the limit is never the larger for it.
    return Limit(Dimension.COST_PER_DAY, name, micro, rule, price.input, price.output)


def _name(agent: PlacedAgent) -> str:
    return f"{agent.key.namespace}/{agent.key.name}"
