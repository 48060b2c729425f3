"""What a tool is called between us and a model. Pure.

The protocols allow letters, digits, `_` and `-` in a function's name; ours allow a dot, and
a slash after the namespace. A name that comes back is looked up, never taken apart.
"""

from typing import Any

from runner.contract.errors import ModelFailed
from runner.models import Offer


def shown(tool: str) -> str:
    """The name of a tool as a model is told it."""
    return tool.replace(".", "__dot__").replace("/", "__slash__")


def offered(offers: list[Offer]) -> dict[str, str]:
    """The tool behind each name; ModelFailed when two would answer to one."""
    names = {shown(offer.name): offer.name for offer in offers}
    if len(names) != len({offer.name for offer in offers}):
        raise ModelFailed(
            "two tools of the agent have names that a model cannot tell apart", untouched=True
        )
    return names


def function(offer: Offer) -> dict[str, Any]:
    """A tool as the chat protocols of OpenAI and Ollama offer it."""
    return {
        "type": "function",
        "function": {
            "name": shown(offer.name),
            "description": offer.description,
            "parameters": offer.parameters or {"type": "object"},
        },
    }
