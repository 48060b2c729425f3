"""`orloj secret reseal`: seal what SealedSecrets hold anew, with the key of today."""

import json
from pathlib import Path

import click

from reconciler import manifest
from reconciler.cli.context import Context
from reconciler.cli.secret.manifest_text import manifest_text
from reconciler.problem import has_errors
from reconciler.resource import Resource
from runner.contract import errors, kinds, sealing
from runner.contract.kinds.sealed_secret import SealedEntry
from runner.contract.sealing import Address


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@click.pass_obj
def command(context: Context, files: tuple[Path, ...]) -> None:
    """Seal what the SealedSecrets in FILES hold anew, with the key of today.

    Each file is written whole, without its comments, and only if all of it could be opened.
    """
    home = context.settings.home
    texts = {file: _resealed(home, file) for file in files}
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")
        click.echo(str(file))
    context.say("Next: git commit, and orloj secret retire KEY_ID once it is applied")


def _resealed(home: Path, file: Path) -> str:
    parsed = manifest.parse(file.read_bytes(), str(file), lambda value: ("", ""))
    if has_errors(parsed.problems):
        raise errors.Refused(str(next(one for one in parsed.problems if has_errors([one]))))
    return "---\n".join(_one(home, file, resource) for resource in parsed.resources)


def _one(home: Path, file: Path, resource: Resource) -> str:
    spec = kinds.spec_of(resource.key.kind, resource.body)
    if not isinstance(spec, kinds.Secret) or not spec.sealed:
        raise errors.Refused(f"{file}:{resource.line}: {resource.key} is no SealedSecret")
    namespace, _, name = resource.key
    key, entries = sealing.current(home), {}
    for entry, text in spec.sealed.items():
        address = Address(namespace, name, entry)
        value = sealing.opened(home, SealedEntry.of(text), address)
        entries[entry] = key.sealed(address, value)
    body = json.loads(resource.body)
    about = {field: body[field] for field in ("labels", "annotations") if field in body}
    return manifest_text(namespace, name, entries, about, spec.allowed_namespaces)
