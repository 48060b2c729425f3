"""The order in which the agents of a system work. Pure. Linear for now."""

from runner.contract.errors import Refused
from runner.contract.kinds import AgentSystem


def order(system: AgentSystem) -> list[str]:
    """The agents, first to last; Refused when the graph is not one line through all."""
    if not system.graph:
        return list(system.agents)
    followers = {
        name: system.graph[name].successors() if name in system.graph else []
        for name in system.agents
    }
    targets = [target for successors in followers.values() for target in successors]
    starts = [name for name in system.agents if name not in targets]
    if len(starts) != 1 or any(len(successors) > 1 for successors in followers.values()):
        raise Refused("the graph is not one line of agents; only linear systems run so far")
    line = [starts[0]]
    while followers[line[-1]]:
        following = followers[line[-1]][0]
        if following in line:
            raise Refused("the graph has a loop; only linear systems run so far")
        line.append(following)
    if len(line) != len(system.agents):
        raise Refused("the graph leaves agents out; only linear systems run so far")
    return line
