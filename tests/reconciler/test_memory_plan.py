"""A plan says what a memory means: who may read and write it, and where its text goes."""

from datetime import date
from typing import Any

import pytest

from reconciler import check
from reconciler.governance import comparison, trifecta
from reconciler.governance.world import Declared, World
from reconciler.manifest import parser
from runner.contract import kinds
from runner.contract.kinds import Key, Metadata

NONE = World({})


def declared(kind: str, name: str, namespace: str = "default", **spec: Any) -> Declared:
    metadata = Metadata(name=name, namespace=namespace)
    body = kinds.canonical(metadata, kinds.KINDS[kind].model_validate(spec))
    return Declared(Key(namespace, kind, name), body, f"{name}.yaml", 1, {})


def world(*resources: Declared) -> World:
    return World({one.key: one for one in resources})


def agent(*allow: str, name: str = "clerk", ref: str = "notes", **fields: Any) -> Declared:
    use = {"ref": ref, "allow": list(allow)}
    return declared("Agent", name, model="m", memory=use, **fields)


def sentences(before: World, after: World, *keys: Key) -> list[str]:
    changed = keys or tuple(after.declared)
    return [found.sentence for found in comparison.compare(before, after, changed)]


def test_what_allow_adds_is_gained_and_what_it_drops_is_lost() -> None:
    less, more = world(agent("search")), world(agent("search", "write"))
    assert sentences(less, more) == ["clerk gains write:memory/notes through memory.write"]
    assert sentences(more, less) == ["clerk loses write:memory/notes through memory.write"]
    assert sentences(NONE, less) == [
        "clerk is new, with read:memory/notes through memory.search"
    ]


def test_a_memory_that_moves_or_is_shared_is_told() -> None:
    before = world(declared("Memory", "notes", labels=["private"]))
    far = {"provider": "http", "endpoint": "https://memory.example.com"}
    after = world(declared("Memory", "notes", allowed_namespaces=["team"], **far))
    assert sentences(before, after) == [
        "the memory notes is no longer labelled private: nobody looks where its data goes",
        "the memory notes serves the namespace team",
        "what agents tell the memory notes is kept elsewhere now",
    ]
    assert sentences(before, before) == []


def test_memory_counts_where_three_dangerous_things_come_together() -> None:
    out = declared("Tool", "post", type="http", endpoint="https://example.com/")
    private = declared("Memory", "notes", labels=["private"])
    clerk = agent("search", tools=["post"])
    found = list(trifecta.of_agent(world(out, private, clerk), clerk.key, date(2026, 1, 1)))
    assert len(found) == 1
    assert "memory.search" in found[0].message
    plain = world(out, declared("Memory", "notes"), clerk)
    assert not list(trifecta.of_agent(plain, clerk.key, date(2026, 1, 1)))


def test_a_memory_at_a_host_of_the_world_is_a_way_out() -> None:
    place = {"provider": "http", "endpoint": "https://memory.example.com"}
    far = declared("Memory", "notes", labels=["private", "untrusted"], **place)
    clerk = agent("read", "write")
    assert list(trifecta.of_agent(world(far, clerk), clerk.key, date(2026, 1, 1)))
    near = declared("Memory", "notes", labels=["private", "untrusted"])
    assert not list(trifecta.of_agent(world(near, clerk), clerk.key, date(2026, 1, 1)))


HEAD = "apiVersion: orloj.dev/v1\nkind: {}\nmetadata:\n  name: {}\nspec:\n"


def problems(kind: str, name: str, spec: str) -> list[tuple[int, str]]:
    text = (HEAD.format(kind, name) + spec).encode()
    parsed = parser.parse(text, "a.yaml", lambda value, _: value)
    found = [*parsed.problems, *check.check(parsed.resources, lambda _: False, ())]
    return [(one.line, one.message) for one in found]


@pytest.mark.parametrize(
    ("kind", "name", "spec", "line", "words"),
    [
        ("Tool", "memory.read", "  endpoint: http://x.example/\n", 1, "`memory.*` are those"),
        ("Memory", "m", "  provider: pgvector\n", 6, "every call to it is denied"),
        ("Memory", "m", "  provider: qdrant\n", 6, "not a value"),
        ("Memory", "m", "  type: graph\n", 6, "not a value"),
        ("Memory", "m", "  provider: http\n", 6, "needs endpoint"),
        ("Memory", "m", "  provider: sqlite\n  endpoint: http://x/\n", 6, "takes no endpoint"),
        ("Memory", "m", "  type: kv\n  embedding_model: e\n", 6, "embeds nothing"),
        ("Memory", "m", "  provider: pgvector\n  endpoint: postgres://u:p@h/d\n", 6,
         "no password"),
        ("Memory", "m", "  provider: pgvector\n  endpoint: postgres://u@h/d?passfile=x\n", 6,
         "may set"),
        ("Memory", "m", "  provider: http\n  endpoint: http://u:p@h/\n", 6, "no user"),
        ("Agent", "a", "  model: m\n  memory: {type: kv}\n", 7, "needs `allow`"),
        ("Agent", "a", "  model: m\n  memory: {allow: [read, read]}\n", 7, "twice"),
        ("Agent", "a", "  model: m\n  memory: {ref: n}\n", 7, "Memory `n` is not declared"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_while_loading_at_its_line(
    kind: str, name: str, spec: str, line: int, words: str
) -> None:
    found = problems(kind, name, spec)
    assert [one for one in found if words in one[1] and one[0] == line], found
