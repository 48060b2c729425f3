"""What is decided of a model by its name, and what entries say of a call for ever. Pure."""

from typing import Any

from runner import model_choice
from runner.contract.errors import OrlojError
from runner.contract.kinds.tool import template_arguments
from runner.governance import policies
from runner.governance.verdict import Decision, Verdict, deny
from runner.manifest_set import ManifestSet, PlacedAgent

Message = dict[str, Any]


def code(verdict: Verdict, facts: dict[str, Any]) -> str | None:
    """The code of a tool call that is denied; a model's question has none."""
    denied = verdict.decision is Decision.DENY and "model" not in facts
    return verdict.code.value if denied else None


def of_model(
    manifests: ManifestSet, agent: PlacedAgent, message: Message, task_name: str | None
) -> Verdict:
    """The verdict on the model that a worker wants to ask, which the manifests must name."""
    model, number = message["model"], message.get("choice", model_choice.OWN)
    try:
        asked = model_choice.numbered(manifests, agent, number)
    except OrlojError as error:
        return deny(str(error), agent.at(""))
    if asked.model != model:
        return deny(f"{model} is not the model that {asked.called} is asked for", asked.at)
    at = None if number == model_choice.OWN else asked.at
    return policies.decide_model(manifests, agent, model, task_name, at)


def named(
    manifests: ManifestSet, agent: PlacedAgent, name: str, verdict: Verdict
) -> tuple[dict[str, Any], tuple[tuple[str, Any], ...]]:
    """What entries say of a call for ever, and what the first of them commits to besides.

    A name that no manifest declares is a model's own text; a permission that arguments
    filled says what they say, and stands as its tool declares it.
    """
    chain = manifests.chain_names(agent)
    try:
        tool = manifests.tool(agent, name)
    except OrlojError:
        tool = None
    if tool is None:
        withheld = (("tool", name),)
        return {"chain": chain, "private": withheld}, withheld
    asked = verdict.permission
    facts = {"tool": name, "permission": asked, "chain": chain}
    templates = tool.spec.requires
    if asked is None or not any(template_arguments(one.resource) for one in templates):
        return facts, ()
    return facts | {"permission": " ".join(map(str, templates))}, (("permission", asked),)
