"""What a task works under is kept by content: written and read, it is the same set."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import manifest_set, named_secrets
from runner.contract import kinds
from runner.contract.errors import NotFound, Refused
from runner.contract.kinds import Key, Metadata
from runner.manifest_set import ManifestSet, Placed

AGENT = Key("default", "Agent", "clerk")


def placed(key: Key, spec: dict[str, Any], lines: dict[str, int] | None = None) -> Placed:
    body = kinds.canonical(Metadata(name=key.name), kinds.KINDS[key.kind].model_validate(spec))
    return Placed(key, body, f"{key.kind.lower()}/{key.name}.yaml", 2, lines or {"": 2})


def made(subject: Key, *items: Placed) -> ManifestSet:
    return ManifestSet(subject, {item.key: item for item in items})


NAMES = st.text("abcxyz", min_size=1, max_size=4)
AGENTS = st.builds(
    lambda namespace, name, prompt, line: placed(
        Key(namespace, "Agent", name), {"model": "m", "prompt": prompt}, {"": line}
    ),
    NAMES,
    NAMES,
    st.text(max_size=10),
    st.integers(1, 99),
)


@given(st.lists(AGENTS, min_size=1, max_size=5), st.randoms())
def test_a_set_read_again_is_equal_and_its_text_knows_no_order(
    items: list[Placed], random: Any
) -> None:
    one = made(items[0].key, *items)
    text = one.to_text()
    again = manifest_set.from_text(text)
    assert (again.subject, again.resources) == (one.subject, one.resources)
    shuffled = list(one.resources.values())
    random.shuffle(shuffled)
    assert made(items[0].key, *shuffled).to_text() == text


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("/spec/tools/0", "agent/clerk.yaml:7"),
        ("/spec/tools/0/permissions/3", "agent/clerk.yaml:7"),
        ("/spec/tools/9", "agent/clerk.yaml:5"),
        ("/nowhere/at/all", "agent/clerk.yaml:2"),
        ("", "agent/clerk.yaml:2"),
    ],
    ids=["itself", "inside it", "beside it", "nowhere", "the whole"],
)
def test_a_place_is_the_nearest_one_that_has_a_line(pointer: str, place: str) -> None:
    lines = {"": 2, "/spec": 5, "/spec/tools": 5, "/spec/tools/0": 7}
    assert placed(AGENT, {"model": "m"}, lines).at(pointer) == place


def test_a_place_without_any_line_is_the_resource_itself() -> None:
    item = Placed(AGENT, "{}", "a.yaml", 9, {})
    assert item.at("/spec/model") == "a.yaml:9"


ENDPOINT = {"provider": "mock", "default_model": "own"}


@pytest.mark.parametrize(
    ("spec", "endpoints", "expected"),
    [
        ({"model": "gpt"}, ["default"], ("default", "gpt")),
        ({"model": "gpt"}, ["default", "gpt"], ("gpt", "own")),
        ({"model_ref": "fast"}, ["default", "fast"], ("fast", "own")),
    ],
    ids=["the default's", "its namesake", "the one named"],
)
def test_an_agent_asks_the_endpoint_its_model_names(
    spec: dict[str, Any], endpoints: list[str], expected: tuple[str, str]
) -> None:
    items = [placed(Key("default", "ModelEndpoint", name), ENDPOINT) for name in endpoints]
    manifests = made(AGENT, placed(AGENT, spec), *items)
    key, _, model = manifests.endpoint(manifests.agent("clerk"))
    assert (key.name, model) == expected


def test_an_endpoint_that_is_not_declared_says_what_to_declare() -> None:
    manifests = made(AGENT, placed(AGENT, {"model": "gpt"}))
    with pytest.raises(NotFound, match="no ModelEndpoint default/default"):
        manifests.endpoint(manifests.agent("clerk"))


def test_an_agent_answers_to_the_name_it_is_called_by() -> None:
    system = Key("default", "AgentSystem", "s")
    near, far = AGENT, Key("other", "Agent", "clerk")
    manifests = made(
        system,
        placed(system, {"agents": ["clerk", "other/clerk"]}),
        placed(near, {"model": "m"}),
        placed(far, {"model": "m"}),
    )
    for name in manifests.order:
        agent = manifests.agent(name)
        assert manifests.called(agent) == name
        assert manifests.agent(manifests.called(agent)).key == agent.key


def test_an_agent_nobody_declared_is_not_found() -> None:
    with pytest.raises(NotFound, match="agent/default/ghost"):
        made(AGENT, placed(AGENT, {"model": "m"})).agent("ghost")


def test_a_set_names_each_secret_entry_once() -> None:
    auth = {"auth": {"secretRef": "keys:openai"}}
    manifests = made(
        AGENT,
        placed(AGENT, {"model": "m"}),
        placed(Key("default", "ModelEndpoint", "a"), {**ENDPOINT, **auth}),
        placed(Key("default", "ModelEndpoint", "b"), {**ENDPOINT, **auth}),
        placed(
            Key("other", "Tool", "t"),
            {"endpoint": "http://x", "auth": {"secretRef": "keys"}},
        ),
    )
    assert named_secrets.entries(manifests) == [
        (Key("default", "Secret", "keys"), "openai"),
        (Key("other", "Secret", "keys"), "value"),
    ]


@pytest.mark.parametrize(
    ("secret", "served"),
    [
        ({"allowedNamespaces": ["default"]}, True),
        ({"allowed_namespaces": ["x", "default"]}, True),
        ({"allowedNamespaces": ["x"]}, False),
        ({"allowedNamespaces": ["defaul", "default2"]}, False),
        ({}, False),
        (None, False),
    ],
    ids=["allowed", "other spelling", "another", "like it", "nobody", "not declared"],
)
def test_a_secret_serves_other_namespaces_only_if_it_says_so(
    secret: dict[str, Any] | None, served: bool
) -> None:
    key = Key("vault", "Secret", "s")
    tool = placed(
        Key("default", "Tool", "t"), {"endpoint": "http://x", "auth": {"secretRef": "vault/s"}}
    )
    inside = placed(
        Key("vault", "Tool", "t"), {"endpoint": "http://x", "auth": {"secretRef": "s:other"}}
    )
    declared = [] if secret is None else [placed(key, {"fromEnv": {"value": "X"}, **secret})]
    manifests = made(AGENT, tool, inside, *declared)
    assert manifests.serves(key, "default") is served
    assert manifests.serves(key, "vault")
    assert named_secrets.entries(manifests) == [
        (key, "other"),
        *([(key, "value")] if served else []),
    ]


def test_a_secret_that_cannot_be_read_serves_its_own_namespace_alone() -> None:
    key = Key("vault", "Secret", "s")
    text = '{"spec": {"allowedNamespaces": ["default"], "of_tomorrow": 1}}'
    manifests = made(AGENT, Placed(key, text, "s.yaml", 1, {}))
    assert not manifests.serves(key, "default")


def test_what_another_version_wrote_is_refused_with_advice() -> None:
    item = Placed(AGENT, '{"spec":{"mood":"fine"}}', "a.yaml", 1, {})
    with pytest.raises(Refused, match="apply its manifest again"):
        made(AGENT, item).agent("clerk").spec  # noqa: B018


def test_what_cannot_be_read_needs_no_secret_and_keeps_the_others() -> None:
    tomorrow = Key("default", "Tool", "of-tomorrow")
    auth = {"type": "http", "endpoint": "http://x", "auth": {"secretRef": "s"}}
    readable = placed(Key("default", "Tool", "t"), auth)
    unreadable = Placed(tomorrow, '{"spec": {"of_tomorrow": 1}}', "t.yaml", 1, {})
    assert named_secrets.entries(made(AGENT, readable, unreadable)) == [
        (Key("default", "Secret", "s"), "value")
    ]
