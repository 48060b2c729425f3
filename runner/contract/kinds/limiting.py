"""Which resources limit tokens, costs, calls or tasks. Pure."""

from runner.contract.kinds.agent import Agent
from runner.contract.kinds.agent_policy import AgentPolicy
from runner.contract.kinds.base import Spec
from runner.contract.kinds.tool import Tool


def limits(spec: Spec) -> bool:
    """Whether a resource limits what an agent or a tool uses."""
    match spec:
        case Agent(governance=rules):
            bounds = (rules.max_tokens_per_minute, rules.max_tokens_per_run)
            return (*bounds, rules.max_cost_per_day, rules.max_concurrent) != (None,) * 4
        case AgentPolicy():
            return spec.max_tokens_per_run is not None
        case Tool():
            return spec.limits.max_calls_per_minute is not None
    return False
