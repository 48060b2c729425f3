"""`orloj secret seal`: write a SealedSecret, from values or from a Secret manifest.

Needs the public key only, so that whoever writes the secret need not be on the host.
"""

import json
import sys
from pathlib import Path

import click

from reconciler import manifest
from reconciler.cli.context import Context
from reconciler.cli.secret.manifest_text import manifest_text
from reconciler.problem import has_errors
from runner.contract import errors, kinds, sealing
from runner.contract.kinds.base import DEFAULT_NAMESPACE
from runner.contract.sealing import Address, PublicKey


@click.command()
@click.argument("name", required=False)
@click.option(
    "-f",
    "--file",
    "source",
    type=click.Path(path_type=Path, exists=True),
    help="Seal the values of the Secret in this manifest instead.",
)
@click.option(
    "--from-literal",
    "literals",
    multiple=True,
    metavar="ENTRY=VALUE",
    help="A value. It is seen in the list of processes and in the shell's history.",
)
@click.option(
    "--from-file",
    "files",
    multiple=True,
    metavar="ENTRY=PATH",
    help="A value that stands in a file, without the line end.",
)
@click.option("--from-stdin", "piped", metavar="ENTRY", help="A value from standard input.")
@click.option(
    "-n",
    "--namespace",
    default=DEFAULT_NAMESPACE,
    show_default=True,
    help="The namespace where the value opens.",
)
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, exists=True),
    help="A public key in a file. Default: that of this home.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Write the manifest to this file. Default: standard output.",
)
@click.pass_obj
def command(
    context: Context,
    *,
    name: str | None,
    source: Path | None,
    literals: tuple[str, ...],
    files: tuple[str, ...],
    piped: str | None,
    namespace: str,
    key_file: Path | None,
    out: Path | None,
) -> None:
    """Write the SealedSecret NAME: what it holds opens only in the home of the key.

    Bound to namespace, name and entry: a copy under another name opens nowhere.
    """
    key = _key(context, key_file)
    if source is not None:
        if name or literals or files or piped:
            raise click.UsageError("with --file, name and values come from the manifest")
        text = _of_manifest(source, key)
    else:
        values = _values(literals, files, piped)
        if name is None or not values:
            raise click.UsageError(
                "give NAME and a value: --from-stdin, --from-file or --from-literal; or --file"
            )
        text = _sealed(key, namespace, name, values)
    if out is None:
        click.echo(text, nl=False)
        return
    out.write_text(text, encoding="utf-8")
    context.say(f"Sealed with the key {key.id}: {out}\nNext: git add {out} && git commit")


def _key(context: Context, file: Path | None) -> PublicKey:
    if file is not None:
        return sealing.public_key(file.read_text(encoding="utf-8"))
    home = context.settings.home
    return sealing.current(home) if sealing.key_ids(home) else sealing.rotate(home)


def _values(
    literals: tuple[str, ...], files: tuple[str, ...], piped: str | None
) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in (*literals, *files):
        entry, equals, value = text.partition("=")
        if not entry or not equals:
            raise click.UsageError("a value is written ENTRY=VALUE")
        if entry in found:
            raise click.UsageError(f"{entry} is given twice")
        found[entry] = value if text in literals else _line(Path(value).read_text("utf-8"))
    if piped:
        found[piped] = _line(sys.stdin.read())
    return found


def _line(text: str) -> str:
    return text.removesuffix("\n")


def _sealed(key: PublicKey, namespace: str, name: str, values: dict[str, str]) -> str:
    try:
        kinds.Metadata(name=name, namespace=namespace)
    except ValueError as error:
        raise errors.Refused(f"{namespace}/{name} is no name of a resource") from error
    entries = {
        entry: key.sealed(Address(namespace, name, entry), value)
        for entry, value in values.items()
    }
    return manifest_text(namespace, name, entries, {}, [])


def _of_manifest(source: Path, key: PublicKey) -> str:
    """Every Secret of a file, sealed; labels and consent are kept."""
    plain: dict[str, str] = {}

    def keep(value: str) -> tuple[str, str]:
        mark = f"hmac-sha256:{len(plain)}"
        plain[mark] = value
        return mark, ""

    parsed = manifest.parse(source.read_bytes(), str(source), keep)
    if has_errors(parsed.problems):
        raise errors.Refused(str(next(one for one in parsed.problems if has_errors([one]))))
    texts = []
    for resource in parsed.resources:
        spec = kinds.spec_of(resource.key.kind, resource.body)
        if not isinstance(spec, kinds.Secret) or not (spec.string_data or spec.data):
            raise errors.Refused(
                f"{source}:{resource.line}: {resource.key} holds no value that could be sealed"
            )
        if spec.from_env or spec.from_file or spec.sealed:
            raise errors.Refused(
                f"{source}:{resource.line}: fromEnv and fromFile stand in a Secret of their own"
            )
        namespace, _, name = resource.key
        entries = {
            entry: key.sealed(Address(namespace, name, entry), plain[mark])
            for entry, mark in {**spec.data, **spec.string_data}.items()
        }
        texts.append(
            manifest_text(
                namespace, name, entries, _about(resource.body), spec.allowed_namespaces
            )
        )
    if not texts:
        raise errors.Refused(f"{source} declares no Secret")
    return "---\n".join(texts)


def _about(body: str) -> dict[str, dict[str, str]]:
    found = json.loads(body)
    return {field: found[field] for field in ("labels", "annotations") if field in found}
