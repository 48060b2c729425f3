"""The order in which the agents of a system work. Pure. Linear for now."""

from runner.contract.errors import Refused
from runner.contract.kinds import AgentSystem


def order(system: AgentSystem) -> list[str]:
    """The agents, first to last; Refused when the graph is not one line through all."""
    try:
        return system.line()
    except ValueError as error:
        raise Refused(f"{error}; only linear systems run so far") from error
