"""Worker: what the workers of one host have, and how much they take on at once."""

from pydantic import Field

from runner.contract.kinds.base import Spec, Strict


class Capabilities(Strict):
    """What tasks may require. No models named: any."""

    gpu: bool = False
    supported_models: list[str] = []


class Worker(Spec):
    """The workers of the host that is named like it, by `runner.name` or its own name.

    What the host's settings say comes first: region, GPU and models count where they say
    nothing. `max_concurrent_tasks` bounds what all workers of the host run at once.
    """

    region: str = Field(default="", max_length=128)
    capabilities: Capabilities = Capabilities()
    max_concurrent_tasks: int | None = Field(default=None, ge=1, le=262_144)
