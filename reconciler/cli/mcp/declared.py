"""The McpServer, the Secrets and the Tools that the files of a working tree declare."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from reconciler import by_hand, manifest
from reconciler.manifest import positions
from reconciler.problem import Problem, Severity
from reconciler.resource import Resource
from reconciler.views.plain import plain
from runner import credentials, manifest_set
from runner.contract.errors import NotFound, Refused
from runner.contract.kinds import Key, McpServer, Secret, Tool, digest, spec_of
from runner.contract.kinds.base import DEFAULT_NAMESPACE, SecretAuth, named
from runner.contract.settings import Settings
from runner.tools.mcp_server import Server

FILES_MAX: Final = 10_000


@dataclass(frozen=True)
class Tree:
    """What the files declare. `values` are those of Secrets, by what stands for them."""

    resources: dict[Key, Resource] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict, repr=False)

    def server(self, name: str) -> tuple[Key, McpServer]:
        """The McpServer of a name; NotFound."""
        key = named("McpServer", name, DEFAULT_NAMESPACE)
        if key not in self.resources:
            raise NotFound(f"no file here declares the McpServer {plain(name)}")
        spec = spec_of("McpServer", self.resources[key].body)
        assert isinstance(spec, McpServer)
        return key, spec

    def tools(self, server: Key) -> Mapping[Key, Resource]:
        """The Tools of its namespace that are pinned to a server."""
        found = {}
        for key, resource in self.resources.items():
            if key.kind != "Tool" or key.namespace != server.namespace:
                continue
            spec = spec_of("Tool", resource.body)
            assert isinstance(spec, Tool)
            ref = spec.mcp_server_ref
            if ref is not None and named("McpServer", ref, key.namespace) == server:
                found[key] = resource
        return found

    def given(self, key: Key, spec: McpServer, settings: Settings) -> Server:
        """The server with the values that it names; Refused when one cannot be had here."""
        environment = {}
        for variable in spec.env:
            value = variable.value
            if variable.auth is not None:
                value = self._value(variable.auth, key.namespace, settings)
            assert value is not None
            environment[variable.name] = value
        secret = None
        if spec.auth is not None:
            secret = self._value(spec.auth, key.namespace, settings)
        hidden = tuple(self.values.values()) + ((secret,) if secret else ())
        return Server(key, spec, key.namespace, environment, secret, hidden)

    def _value(self, auth: SecretAuth, namespace: str, settings: Settings) -> str:
        key, entry = auth.secret(namespace)
        resource = self.resources.get(key)
        spec = None if resource is None else spec_of("Secret", resource.body)
        if not isinstance(spec, Secret) or not spec.serves(key.namespace, namespace):
            raise Refused(f"no file here declares the Secret {auth.secret_ref} for {namespace}")
        stands_for = manifest_set.stands_for(spec, entry) or ""
        value = self.values.get(stands_for) or credentials.of_host(stands_for, settings)
        if not value:
            raise Refused(
                f"the Secret {auth.secret_ref} has no value here: set what its manifest names"
                " (fromEnv needs the setting secrets.env, too)"
            )
        self.values[stands_for] = value
        return value


def read(paths: tuple[Path, ...]) -> Tree:
    """What the manifests under the paths declare, and what is wrong in them."""
    tree = Tree()

    def keep(value: str) -> tuple[str, str]:
        # Nothing is written: a value is kept for as long as the command runs.
        mark = digest(value)
        tree.values[mark] = value
        return mark, ""

    files = [file for path in paths for file in by_hand.manifest_files(path)]
    if len(files) > FILES_MAX:
        raise Refused(f"more than {FILES_MAX} files; name the folder of the manifests")
    for file in dict.fromkeys(files):
        with file.open("rb") as stream:
            content = stream.read(positions.BYTES_MAX + 1)
        parsed = manifest.parse(content, str(file), keep)
        tree.resources.update((resource.key, resource) for resource in parsed.resources)
        tree.problems.extend(
            problem for problem in parsed.problems if problem.severity is Severity.ERROR
        )
    return tree


def refuse_problems(tree: Tree, path: Path) -> None:
    """Stop when the file that will be written anew holds something that cannot be read."""
    for problem in tree.problems:
        if Path(problem.path) == path:
            raise click.ClickException(
                f"{plain(problem.path)}:{problem.line}:{problem.column}:"
                f" {plain(problem.message)}; mend it first, or remove the file"
            )
