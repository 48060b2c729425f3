"""A TaskWebhook loads in both spellings, and no field of it is read and left without effect."""

import pytest

from reconciler import manifest
from runner.contract.kinds import Key, TaskSchedule, TaskWebhook, spec_of

HEAD = "apiVersion: orloj.dev/v1\nkind: TaskWebhook\nmetadata: {name: hook}\nspec:\n"
AUTH = "  auth: {secret_ref: 'ops/signing:key'}\n"


def parse(text: str) -> manifest.Parsed:
    return manifest.parse((HEAD + text).encode(), "hook.yaml", lambda value: (value, value))


def webhook(text: str) -> TaskWebhook:
    (resource,) = parse(text).resources
    spec = spec_of("TaskWebhook", resource.body)
    assert isinstance(spec, TaskWebhook)
    return spec


def test_a_short_one_means_what_the_public_dialect_means() -> None:
    spec = webhook("  task_ref: report\n" + AUTH)
    assert (spec.auth.profile, spec.auth.header, spec.auth.prefix) == (
        "generic", "X-Signature", "sha256=",
    )  # fmt: skip
    assert (spec.auth.time_header, spec.auth.skew_s) == ("X-Timestamp", 300)
    assert (spec.event_header, spec.window_s) == ("X-Event-Id", 86_400)
    assert (spec.payload.mode, spec.payload.input_key) == ("raw", "webhook_payload")


def test_github_has_its_own_names_and_a_longer_window() -> None:
    spec = webhook("  taskRef: report\n  auth: {secretRef: s, profile: github}\n")
    assert (spec.auth.header, spec.event_header) == ("X-Hub-Signature-256", "X-GitHub-Delivery")
    assert spec.window_s == 259_200


def test_a_zero_means_the_default_as_in_the_public_dialect() -> None:
    text = (
        "  task_ref: r\n  auth: {secret_ref: s, max_skew_seconds: 0}\n"
        "  idempotency: {dedupe_window_seconds: 0}\n"
    )
    spec = webhook(text)
    assert (spec.auth.skew_s, spec.window_s) == (300, 86_400)


def test_it_names_its_task_and_its_secret_at_their_lines() -> None:
    (resource,) = parse("  task_ref: ops/report\n" + AUTH).resources
    found = {mention.target: (mention.line, mention.required) for mention in resource.mentions}
    assert found == {
        Key("ops", "Task", "report"): (5, True),
        Key("ops", "Secret", "signing"): (6, False),
    }


@pytest.mark.parametrize("kind", ["TaskWebhook", "TaskSchedule"])
def test_a_task_that_stands_inside_names_whoever_works_on_it(kind: str) -> None:
    rest = "  schedule: '@daily'\n" if kind == "TaskSchedule" else AUTH
    text = HEAD.replace("TaskWebhook", kind) + "  task_template:\n    system: writers\n" + rest
    (resource,) = manifest.parse(text.encode(), "a.yaml", lambda one: (one, one)).resources
    assert resource.mentions[0].target == Key("default", "AgentSystem", "writers")
    assert resource.mentions[0].line == 6
    spec = spec_of(kind, resource.body)
    assert isinstance(spec, TaskWebhook | TaskSchedule)
    assert spec.queued("default") == Key("default", "AgentSystem", "writers")


HMAC = (
    "  task_ref: r\n  auth:\n    secret_ref: s\n    profile: hmac\n    signature_header: X-M\n"
)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("  task_ref: r\n", 4, "auth"),
        ("  task_ref: r\n  auth: {profile: generic}\n", 6, "secretRef"),
        (AUTH, 5, "exactly one of task_ref and task_template"),
        ("  task_ref: r\n  task_template: {agent: a}\n" + AUTH, 5, "exactly one of"),
        ("  task_ref: r\n  auth: {secret_ref: s, profile: gitlab}\n", 6, "`profile`"),
        (
            "  task_ref: r\n  auth: {secret_ref: s, profile: github, max_skew_seconds: 5}\n",
            6,
            "max_skew_seconds`: it has no effect here: the profile github",
        ),
        (
            "  task_ref: r\n  auth: {secret_ref: s, algorithm: sha512}\n",
            6,
            "algorithm`: it has no effect here: the profile generic does not look at it;"
            " leave it out, or take hmac",
        ),
        ("  task_ref: r\n  auth: {secret_ref: s, profile: hmac}\n", 6, "signature_header"),
        (
            "  taskRef: r\n  auth:\n    secretRef: s\n    profile: github\n"
            "    maxSkewSeconds: 5\n",
            9,
            "it has no effect here",
        ),
        (HMAC + "    payload_format: timestamp_dot_body\n", 7, "needs timestamp_header"),
        (HMAC + "    header_format: kv_pairs\n", 7, "needs signature_key"),
        (HMAC + "    timestamp_header: X-T\n", 10, "timestamp_header`: it has no effect here"),
        (HMAC + "    payload_prefix: v0\n", 10, "payload_prefix`: it has no effect here"),
        (
            HMAC + "    header_format: kv_pairs\n    signature_key: v1\n"
            "    signature_prefix: x\n",
            12,
            "signature_prefix`: it has no effect here",
        ),
        (
            "  task_ref: r\n  auth: {secret_ref: s, signature_header: 'a b'}\n",
            6,
            "signature_header",
        ),
        (
            "  task_ref: r\n"
            + AUTH
            + "  idempotency: {event_id_header: X, event_id_from_body: id}\n",
            7,
            "keep one",
        ),
        (
            "  task_ref: r\n" + AUTH + "  payload: {mode: json, input_key: x}\n",
            7,
            "input_key`: it has no effect with mode json",
        ),
        ("  task_ref: r\n" + AUTH + "  payload: {mode: form}\n", 7, "`mode`"),
        ("  task_ref: r\n" + AUTH + "  suspended: true\n", 7, "did you mean"),
    ],
)
def test_what_would_have_no_effect_is_refused_at_its_place(
    text: str, line: int, words: str
) -> None:
    parsed = parse(text)
    assert parsed.resources == ()
    (problem,) = parsed.problems
    assert problem.line == line, problem
    assert words in f"{problem.message} {problem.hint}"
