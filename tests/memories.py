"""Calls of `memory.*` as the guard makes them when they are allowed, on real stores."""

import asyncio
import json
from pathlib import Path
from typing import Any, cast

from manifest_sets import manifest_set, placed

from runner.builtin_call import BuiltinCall
from runner.contract.kinds.base import SecretAuth
from runner.link import Link
from runner.manifest_set import ManifestSet, Placed
from runner.memory import answering
from runner.tools import Bounds

ALL = ["read", "write", "search", "list", "ingest"]


def memory(name: str = "notes", namespace: str = "default", **spec: Any) -> Placed:
    """A Memory."""
    return placed("Memory", name, spec, namespace)


def agent(name: str = "clerk", ref: str | None = "notes", **fields: Any) -> Placed:
    """An agent with every operation of a memory."""
    use = {"allow": ALL} if ref is None else {"ref": ref, "allow": ALL}
    return placed("Agent", name, {"model": "m", "memory": use, **fields})


class Desk:
    """One agent at work with its memory, in a folder."""

    def __init__(self, folder: Path, *resources: Placed, **bounds: Any) -> None:
        self.manifests: ManifestSet = manifest_set(agent(), *(resources or (memory(),)))
        self.bounds = Bounds(
            folder, (), bounds.pop("output_bytes_max", 100_000), folder, **bounds
        )
        self.secrets: dict[str, str] = {}
        self._step = 0

    def answered(self, tool: str, arguments: dict[str, Any], made_as: str | None) -> Any:
        """What a call says, with its tokens. `made_as` is `task:step`; None: the next step."""
        self._step += 1
        task, step = (made_as or f"task:{self._step}").split(":")
        call = BuiltinCall(
            tool=f"memory.{tool}",
            arguments=arguments,
            task=task,
            fence=1,
            step=int(step),
            agent=self.manifests.agent(self.manifests.subject.name),
            manifests=self.manifests,
            bounds=self.bounds,
            hidden=(),
            secret=self._secret,
            link=cast(Link, None),  # Memory asks its dispatcher nothing.
        )
        return asyncio.run(answering.answer(call))

    def call(self, tool: str, made_as: str | None = None, /, **arguments: Any) -> Any:
        """What a call says, as JSON."""
        return json.loads(self.answered(tool, arguments, made_as).text)

    def own(self) -> ManifestSet:
        """The manifests of an agent whose tasks have a memory to themselves."""
        return manifest_set(agent(ref=None))

    def _secret(self, auth: SecretAuth | None, namespace: str) -> str | None:
        return None if auth is None else self.secrets.get(auth.secret_ref)
