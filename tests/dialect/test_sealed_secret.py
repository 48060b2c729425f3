"""A SealedSecret may stand in Git: its value opens in one home, under one name, for the runner.

What is recorded, planned and printed is the sealed form; the values here are looked for in
every file that the home and the manifests leave behind.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from home import Home

from reconciler import check, cli, manifest
from reconciler.resource import Resource
from runner import credentials, pinning
from runner.contract import kinds, seal, sealing, settings
from runner.contract.errors import NotFound, Refused
from runner.contract.kinds.sealed_secret import SealedEntry
from runner.contract.sealing import Address, PublicKey

VALUE = "canary-sealed-8821"
HERE = Address("default", "search", "value")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PublicKey]:
    """A home with one key; making a key of 4096 bits takes a second."""
    folder = tmp_path_factory.mktemp("first")
    return folder, sealing.rotate(folder)


@pytest.fixture
def home(tmp_path: Path, first: tuple[Path, PublicKey]) -> Iterator[Home]:
    made = Home(tmp_path / "home")
    (made.folder / sealing.FOLDER).mkdir(mode=0o700)
    for file in (first[0] / sealing.FOLDER).iterdir():
        (made.folder / sealing.FOLDER / file.name).write_bytes(file.read_bytes())
    yield made
    made.close()


def orloj(home: Home, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(
        cli.group, ["--home", str(home.folder), "secret", *arguments], input=stdin
    )


def sealed(home: Home, name: str = "search", *more: str) -> str:
    done = orloj(home, "seal", name, "--from-stdin", "value", *more, stdin=VALUE + "\n")
    assert done.exit_code == 0, done.output
    return done.stdout


def loaded(text: str) -> Resource:
    parsed = manifest.parse(text.encode(), "s.yaml", lambda value: ("", ""))
    assert parsed.problems == ()
    return parsed.resources[0]


def found(home: Home, resource: Resource) -> dict[str, str]:
    """What a worker of this home would be given for a tool that names the Secret."""
    spec = json.loads(resource.body)["spec"]
    home.record("Secret", resource.key.name, spec)
    auth = {"type": "http", "endpoint": "http://x", "auth": {"secretRef": resource.key.name}}
    home.record("Tool", "t", auth)
    agent = home.record("Agent", "a", {"model": "m", "tools": [{"name": "t"}]})
    with home.database.read() as connection:
        manifests, _ = pinning.resolve(connection, agent)
        where = settings.load(home.folder, {})
        return credentials.find(connection, manifests, seal.sealer(home.folder), where)


def test_what_is_sealed_on_the_command_line_reaches_the_runner_and_no_file(home: Home) -> None:
    text = sealed(home)
    assert found(home, loaded(text)) == {"default/search:value": VALUE}
    left = [path.read_bytes() for path in home.folder.rglob("*") if path.is_file()]
    assert not any(VALUE.encode() in content for content in [*left, text.encode()])


def test_a_sealed_secret_is_the_secret_of_its_name(home: Home) -> None:
    resource = loaded(sealed(home, "search", "--namespace", "team"))
    assert resource.key == kinds.Key("team", "Secret", "search")
    plain = manifest.parse(
        b"apiVersion: orloj.dev/v1\nkind: Secret\nmetadata: {name: search, namespace: team}\n"
        b"spec: {fromEnv: {value: X}}\n",
        "plain.yaml",
        lambda value: ("", ""),
    )
    problems = check.check([resource, *plain.resources], lambda key: False, (), complete=True)
    assert any("search" in one.message for one in problems)


def test_labels_and_annotations_of_the_template_are_those_of_the_secret(home: Home) -> None:
    text = sealed(home) + "  template: {labels: {team: a}, annotations: {x/y: z}}\n"
    body = json.loads(loaded(text).body)
    assert (body["labels"], body["annotations"]) == ({"team": "a"}, {"x/y": "z"})


def test_the_template_cannot_say_what_orloj_acts_on(home: Home) -> None:
    text = sealed(home) + '  template: {annotations: {orloj.dev/protect: "true"}}\n'
    (problem,) = manifest.parse(text.encode(), "s.yaml", lambda value: ("", "")).problems
    assert "metadata.annotations" in problem.message


@pytest.mark.parametrize(
    "elsewhere",
    [
        Address("other", "search", "value"),
        Address("default", "other", "value"),
        Address("default", "search", "other"),
    ],
    ids=["namespace", "name", "entry"],
)
def test_a_copy_opens_under_no_other_name(
    first: tuple[Path, PublicKey], elsewhere: Address
) -> None:
    folder, key = first
    one = key.sealed(HERE, VALUE)
    assert sealing.opened(folder, one, HERE) == VALUE
    with pytest.raises(Refused) as refused:
        sealing.opened(folder, one, elsewhere)
    assert VALUE not in str(refused.value)


def test_a_renamed_manifest_gives_the_runner_no_value(home: Home) -> None:
    moved = loaded(sealed(home).replace("name: search", "name: stolen"))
    assert found(home, moved) == {}


@pytest.mark.parametrize("field", ["wrapped_key", "ciphertext"])
def test_a_value_that_was_changed_does_not_open(
    first: tuple[Path, PublicKey], field: str
) -> None:
    folder, key = first
    one = key.sealed(HERE, VALUE)
    text = getattr(one, field)
    changed = one.model_copy(update={field: ("B" if text[0] != "B" else "C") + text[1:]})
    with pytest.raises(Refused, match="changed"):
        sealing.opened(folder, changed, HERE)


def test_the_same_value_is_sealed_differently_each_time(
    first: tuple[Path, PublicKey],
) -> None:
    one, other = (first[1].sealed(HERE, VALUE) for _ in range(2))
    assert one.ciphertext != other.ciphertext
    assert SealedEntry.of(str(one)) == one


def test_a_plan_shows_neither_the_value_nor_the_whole_of_what_seals_it(
    home: Home, tmp_path: Path
) -> None:
    file = tmp_path / "search.yaml"
    shown = []
    for _ in range(2):
        file.write_text(sealed(home), encoding="utf-8")
        apply = ["--home", str(home.folder), "apply", "--yes", "-f", str(file)]
        done = CliRunner().invoke(cli.group, apply)
        assert done.exit_code == 0, done.output
        shown.append(done.output)
    assert "spec.sealed.value: sealed anew" in shown[1]
    ciphertext = json.loads(loaded(file.read_text()).body)["spec"]["sealed"]["value"]
    assert ciphertext not in shown[1]
    assert VALUE not in "".join(shown)


def test_a_key_is_rotated_resealed_with_and_retired(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(sealed(home), encoding="utf-8")
    (old,) = sealing.key_ids(home.folder)
    found(home, loaded(file.read_text()))
    assert orloj(home, "rotate").exit_code == 0
    new = sealing.current(home.folder).id
    assert found(home, loaded(file.read_text())) == {"default/search:value": VALUE}

    refused = orloj(home, "retire", old, "--yes")
    assert refused.exit_code == 1
    assert "default/search" in refused.stderr
    assert orloj(home, "reseal", str(file)).exit_code == 0
    assert old not in file.read_text()
    assert found(home, loaded(file.read_text())) == {"default/search:value": VALUE}

    assert orloj(home, "retire", old, "--yes").exit_code == 0
    keys = json.loads(orloj(home, "keys", "--json").stdout)
    assert keys == [{"id": new, "seals": True}]


def test_the_key_that_seals_is_not_retired(first: tuple[Path, PublicKey]) -> None:
    with pytest.raises(Refused, match="orloj secret rotate"):
        sealing.retire(first[0], first[1].id)
    with pytest.raises(NotFound):
        sealing.retire(first[0], "0" * 32)


def test_a_secret_manifest_is_sealed_with_a_public_key_from_a_file(
    home: Home, tmp_path: Path
) -> None:
    key = tmp_path / "key.pem"
    key.write_text(orloj(home, "public-key").stdout, encoding="utf-8")
    plain = tmp_path / "plain.yaml"
    plain.write_text(
        "apiVersion: orloj.dev/v1\nkind: Secret\nmetadata:\n  name: search\n"
        f"  labels: {{team: a}}\nspec:\n  stringData: {{value: {VALUE}}}\n"
        "  allowedNamespaces: [other]\n",
        encoding="utf-8",
    )
    done = orloj(home, "seal", "-f", str(plain), "--key", str(key))
    assert done.exit_code == 0, done.output
    resource = loaded(done.stdout)
    body = json.loads(resource.body)
    assert body["labels"] == {"team": "a"}
    assert body["spec"]["allowedNamespaces"] == ["other"]
    assert found(home, resource) == {"default/search:value": VALUE}


def test_a_home_that_has_not_the_key_gives_no_value(home: Home) -> None:
    resource = loaded(sealed(home))
    for file in (home.folder / sealing.FOLDER).iterdir():
        file.unlink()
    assert found(home, resource) == {}


def test_a_plain_text_does_not_pass_for_a_sealed_one() -> None:
    text = (
        "apiVersion: orloj.dev/v1\nkind: SealedSecret\nmetadata: {name: s}\nspec:\n"
        "  encryptedData:\n    value:\n"
        f"      keyId: '{'0' * 32}'\n      wrappedKey: {VALUE}\n      ciphertext: AA==\n"
    )
    parsed = manifest.parse(text.encode(), "s.yaml", lambda value: ("", ""))
    assert [one.line for one in parsed.problems] == [8]
    assert all(VALUE not in repr(one) for one in parsed.problems)
