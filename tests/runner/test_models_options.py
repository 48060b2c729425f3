"""An endpoint's manifest says nothing that nobody acts on, and refuses what cannot be done."""

from typing import Any

import pytest
from asking import ask
from model_server import ModelServer, completion, said

from reconciler.manifest import parser
from runner.contract.kinds import KINDS, ModelEndpoint
from runner.contract.kinds.model_options import KNOWN

HEAD = "apiVersion: orloj.dev/v1\nkind: ModelEndpoint\nmetadata:\n  name: m\nspec:\n"


def problems(spec: str) -> list[str]:
    """What is wrong with an endpoint, each as `line:column message`; its spec is at line 6."""
    parsed = parser.parse((HEAD + spec).encode(), "m.yaml", lambda value: ("", b""))
    return [f"{one.line}:{one.column} {one.message}" for one in parsed.problems]


@pytest.mark.parametrize("provider", sorted(KNOWN))
def test_an_option_that_the_provider_does_not_know_is_refused_where_it_stands(
    provider: str,
) -> None:
    url = "" if provider == "mock" else "  base_url: http://127.0.0.1:1\n"
    spec = f"  provider: {provider}\n{url}  default_model: m\n  options:\n    colour: red\n"
    (told,) = problems(spec)
    line = 9 if url == "" else 10
    known = ", ".join(sorted(KNOWN[provider])) or "none"
    assert told == (
        f"{line}:13 `colour`: the provider {provider} knows no such option; it knows: {known}"
    )


@pytest.mark.parametrize(
    ("provider", "option", "expected"),
    [
        ("anthropic", 'max_tokens: "0"', "expected a whole number above 0, in quotes"),
        ("anthropic", "max_tokens: '1e3'", "expected a whole number above 0, in quotes"),
        ("anthropic", "max_tokens: 1024", "expected text, got a whole number"),
        ("anthropic", "anthropic_version: v1", "expected a day as in 2023-06-01"),
        ("azure", "deployment: a/../b", "expected the name of a deployment"),
        ("azure", "api_version: '?x=1'", "expected a version as in 2024-10-21"),
        ("openai", "output_limit: num_predict", "expected one of max_tokens,"),
        ("openai", "structured_output: tool", "expected one of json_schema, json_object,"),
        ("ollama", "num_ctx: '-1'", "expected a whole number above 0"),
        ("openai", 'stream: "true"', "write it as a field of its own: `stream: true`"),
    ],
)
def test_a_value_that_an_option_cannot_have_is_refused(
    provider: str, option: str, expected: str
) -> None:
    url = "http://127.0.0.1:1"
    spec = f"  provider: {provider}\n  base_url: {url}\n  default_model: m\n  options:\n"
    (told,) = problems(f"{spec}    {option}\n")
    assert told.startswith("10:")
    assert expected in told


@pytest.mark.parametrize(
    ("spec", "place", "expected"),
    [
        ("  provider: bedrock\n  default_model: m\n", "6:13", "bedrock is not supported"),
        ("  provider: gemini\n  default_model: m\n", "6:13", "not a value"),
        ("  provider: azure\n  default_model: m\n", "6:3", "azure needs base_url"),
        ("  provider: openai-compatible\n  default_model: m\n", "6:3", "needs base_url"),
        ("  provider: mock\n  default_model: m\n  stream: true\n", "6:3", "asks nobody"),
        ("  default_model: m\n  idle_timeout: 5s\n", "6:3", "write stream: true"),
        ("  provider: openai\n", "5:", "`spec` needs `default_model`"),
        (
            "  provider: ollama\n  default_model: a\n  options: {default_model: b}\n",
            "8:",
            "default_model stands here and as a field, and they differ",
        ),
        (
            "  provider: ollama\n  default_model: a\n  base_url: http://x/v1\n"
            "  options: {num_ctx: '9'}\n",
            "6:3",
            "write base_url without /v1",
        ),
        (
            "  provider: ollama\n  default_model: a\n  options: {output_limit: max_tokens}\n",
            "6:3",
            "end base_url with /v1",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    spec: str, place: str, expected: str
) -> None:
    (told,) = problems(spec)
    assert told.startswith(place), told
    assert expected in told


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"provider": " OpenAI ", "default_model": "m"}, {"provider": "openai"}),
        (
            {"provider": "Anthropic", "default_model": "m", "options": {" Max_Tokens ": " 9 "}},
            {"options": {"max_tokens": "9"}},
        ),
        (
            {"provider": "ollama", "options": {"Default_Model": "m", "base_url": "http://x"}},
            {"default_model": "m", "base_url": "http://x"},
        ),
    ],
    ids=["the provider's case", "the keys' case", "an ollama by its options"],
)
def test_the_spellings_of_the_public_dialect_are_read(
    spec: dict[str, Any], fields: dict[str, Any]
) -> None:
    endpoint = ModelEndpoint.model_validate(spec, strict=True)
    assert {name: getattr(endpoint, name) for name in fields} == fields
    again = KINDS["ModelEndpoint"].model_validate(
        endpoint.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    )
    assert again == endpoint, "what is stored reads back as something else"


SHAPE = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "string"}}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("change", "strict"),
    [
        ({}, True),
        ({"required": []}, False),
        ({"additionalProperties": True}, False),
        ({"properties": {"a": {"type": "object"}}}, False),
        ({"properties": {"a": {"oneOf": []}}}, False),
        ({"properties": {"a": {"anyOf": [{"type": "null"}, {"type": "string"}]}}}, True),
        ({"$defs": {"b": {"type": "object"}}}, False),
        ({"properties": 7}, False),
    ],
)
def test_openai_is_told_a_shape_strictly_where_it_can_keep_to_it(
    change: dict[str, Any], strict: bool
) -> None:

    with ModelServer(completion('{"a": []}')).running() as server:
        ask(server.url + "/v1", "openai-compatible", schema=SHAPE | change)
    told = server.questions[0]["response_format"]
    assert told["type"] == "json_schema"
    assert told["json_schema"]["schema"] == SHAPE | change
    assert told["json_schema"]["strict"] is strict


@pytest.mark.parametrize(
    ("way", "told"), [("json_object", {"type": "json_object"}), ("none", None)]
)
def test_an_endpoint_is_told_a_shape_in_the_way_that_it_knows(way: str, told: Any) -> None:

    with ModelServer(completion("{}")).running() as server:
        spec = {"options": {"structured_output": way}}
        ask(server.url + "/v1", "openai-compatible", schema=SHAPE, spec=spec)
    assert server.questions[0].get("response_format") == told


def test_a_refusal_to_answer_in_the_shape_is_the_reply() -> None:

    refusing = {"message": {"role": "assistant", "content": None, "refusal": "I will not."}}
    with ModelServer(said({"choices": [refusing]})).running() as server:
        assert ask(server.url + "/v1", "openai-compatible", schema=SHAPE).text == "I will not."
