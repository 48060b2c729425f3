"""A Secret is used from another namespace only if it says so itself, and a commit is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import consent, manifest
from reconciler.problem import Severity
from reconciler.resource import Recorded, Resource
from runner.contract.kinds import Key

AUTH = "auth: {secretRef: vault/key}"
USERS = {
    "Tool": f"{{endpoint: 'https://x.example', {AUTH}}}",
    "ModelEndpoint": f"{{default_model: m, {AUTH}}}",
    "DataSource": f"{{type: postgresql, url: 'postgresql://reader@db.internal/x', {AUTH}}}",
    "Namespace": f"{{approvals: {{notify: [{{url: 'https://x.example', {AUTH}}}]}}}}",
}


def declare(kind: str, name: str, namespace: str, spec: str, path: str = "a.yaml") -> Resource:
    text = (
        f"apiVersion: orloj.dev/v1\nkind: {kind}\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
    parsed = manifest.parse(text.encode(), path, lambda value: ("digest", "ciphertext"))
    return parsed.resources[0]


def secret(more: str = "") -> Resource:
    return declare("Secret", "key", "vault", f"{{fromEnv: {{value: X}}{more}}}", "s.yaml")


def recorded(resource: Resource) -> Recorded:
    return Recorded(
        resource.key,
        "git:default",
        None,
        resource.path,
        resource.line,
        resource.spec_hash,
        resource.body,
        1,
    )


@pytest.mark.parametrize("kind", USERS)
@pytest.mark.parametrize("known", ["declared", "recorded"])
def test_whoever_names_a_secret_elsewhere_is_refused_until_it_allows_it(
    kind: str, known: str
) -> None:
    user = declare(kind, "team", "team", USERS[kind])
    for more, allowed in (
        ("", False),
        (", allowedNamespaces: [other]", False),
        (", allowedNamespaces: [team]", True),
        (", allowed_namespaces: [other, team]", True),
    ):
        named = secret(more)
        found = (
            consent.missing([user, named], {})
            if known == "declared"
            else consent.missing([user], {named.key: recorded(named)})
        )
        assert bool(found) is not allowed
        if found:
            (problem,) = found
            assert problem.severity is Severity.ERROR
            assert (problem.path, problem.line) == ("a.yaml", 4)
            assert problem.message == "Secret `vault/key` does not allow the namespace `team`"
            assert "s.yaml:1 say `allowedNamespaces: [team]`" in str(problem.hint)


def test_inside_its_namespace_a_secret_needs_to_say_nothing() -> None:
    user = declare(
        "Tool", "t", "vault", "{endpoint: 'https://x.example', auth: {secretRef: key}}"
    )
    assert consent.missing([user, secret()], {}) == []


def test_a_secret_that_nobody_knows_is_for_others_to_report() -> None:
    assert consent.missing([declare("Tool", "t", "team", USERS["Tool"])], {}) == []


def test_a_secret_that_takes_its_consent_back_names_who_uses_it() -> None:
    user = (Key("team", "Tool", "t"), "t.yaml", 9, Key("vault", "Secret", "key"))
    (problem,) = consent.missing([secret()], {}, [user])
    assert (problem.path, problem.line) == ("t.yaml", 9)
    assert consent.missing([secret(", allowedNamespaces: [team]")], {}, [user]) == []


def test_a_recorded_secret_of_another_version_allows_nobody() -> None:
    old = recorded(secret(", allowedNamespaces: [team]"))
    torn = Recorded(old.key, old.owner, None, old.path, old.line, old.spec_hash, "{}", 1)
    user = declare("Tool", "t", "team", USERS["Tool"])
    assert len(consent.missing([user], {old.key: torn})) == 1


@pytest.mark.parametrize("command", [["validate"], ["apply", "-f"]], ids=" ".join)
def test_a_command_says_so_where_the_secret_is_named(
    tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "all.yaml").write_text(
        "apiVersion: orloj.dev/v1\nkind: Secret\nmetadata: {name: key, namespace: vault}\n"
        "spec: {fromEnv: {value: X}}\n---\n"
        "apiVersion: orloj.dev/v1\nkind: Tool\nmetadata: {name: t, namespace: team}\n"
        f"spec:\n  endpoint: https://x.example\n  {AUTH}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "--home", "home", *command, "all.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert (
        "all.yaml:11:21: error: Secret `vault/key` does not allow" in done.stdout + done.stderr
    )
