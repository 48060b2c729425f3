"""`orloj audit prove`: a file that proves one entry, and the check of one."""

import json
from pathlib import Path

import click

from reconciler.cli.context import Context, json_option
from reconciler.proof import checkpoint, cosigning, note, proof_file, proving
from reconciler.proof import policy as policies
from reconciler.proof.note import VerifierKey
from reconciler.proof.policy import Policy
from reconciler.proof.proof_file import Proof
from reconciler.views import prove as view
from runner.contract import errors

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("seq", type=click.IntRange(1), required=False)
@click.option("--out", type=_FILE, help="File to write. Default: SEQ.tlog-proof.")
@click.option("--check", "checked", type=_FILE, help="Check this file; needs no database.")
@click.option(
    "--key", "vkeys", metavar="VKEY", multiple=True, help="With --check: the log's key."
)
@click.option("--policy", type=_FILE, help="With --check: whose signatures are asked for.")
@json_option
@click.pass_obj
def command(
    context: Context,
    *,
    seq: int | None,
    out: Path | None,
    checked: Path | None,
    vkeys: tuple[str, ...],
    policy: Path | None,
    as_json: bool,
) -> None:
    """Write a file (c2sp.org/tlog-proof) that proves entry SEQ, or check one."""
    if (seq is None) == (checked is None):
        raise errors.Refused("give the number of an entry, or --check and a file")
    if checked is not None:
        found = _check(checked, vkeys, policy)
        if as_json:
            context.show_json(found)
        else:
            context.show(view.proved(found))
        return
    assert seq is not None
    if vkeys or policy:
        raise errors.Refused("--key and --policy go with --check")
    _prove(context, seq, out or Path(f"{seq}{proof_file.SUFFIX}"), as_json=as_json)


def _prove(context: Context, seq: int, out: Path, *, as_json: bool) -> None:
    chosen = cosigning.policy_of(context.settings)
    with context.database.read() as connection:
        made = proving.proof_of(connection, seq, chosen)
    try:
        out.write_text(str(made), encoding="utf-8")
    except OSError as error:
        raise errors.Refused(f"cannot write {out}: {error.strerror}") from error
    size = checkpoint.parse(made.signed.text).size
    names = [] if chosen is None else policies.cosigners(made.signed, chosen)
    if as_json:
        context.show_json({"seq": seq, "size": size, "file": str(out), "cosigned": names})
        return
    click.echo(
        f"{out}: entry {seq} is one of the {size} that were signed"
        + (f", cosigned by {', '.join(names)}" if names else "")
    )
    context.say(f"Next, anywhere: orloj audit prove --check {out} --key VKEY")


def _check(file: Path, vkeys: tuple[str, ...], policy_file: Path | None) -> dict[str, object]:
    if not vkeys and policy_file is None:
        raise errors.Refused(
            "say whom you trust: --key with the public key of the log, or --policy"
        )
    policy = None if policy_file is None else cosigning.policy_from(policy_file)
    if not vkeys and policy is not None and not policy.logs:
        raise errors.Refused(
            f"{policy_file} names no log: give the log's public key with --key"
        )
    try:
        known = [note.parse_verifier(vkey) for vkey in vkeys]
    except ValueError as error:
        raise errors.Refused(f"--key: {error}") from None
    if any(key.type == note.COSIGNATURE for key in known):
        raise errors.Refused("--key: this is the key of a witness, and signs no log")
    try:
        proof = proof_file.parse(file.read_text(encoding="utf-8"))
        return _proved(proof, known, policy)
    except OSError as error:
        raise errors.Refused(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise errors.Refused(f"{file} proves nothing: {error}") from None


def _proved(proof: Proof, keys: list[VerifierKey], policy: Policy | None) -> dict[str, object]:
    """What a proof proves to who trusts these; ValueError."""
    said = proof.holds()
    if said is None:
        raise ValueError("the entry in it does not lead to the root that was signed")
    named = [key for key in keys if key.name == said.origin]
    if keys and not note.verified(proof.signed, named):
        raise ValueError(f"no key given has signed the checkpoint of {said.origin}")
    if policy is not None and not policies.satisfied(proof.signed, policy):
        raise ValueError("the policy is not met: a signature that it asks for is missing")
    try:
        entry = json.loads(proof.entry)
    except ValueError:
        raise ValueError("the entry in it is no JSON") from None
    if not isinstance(entry, dict) or entry.get("seq") != proof.index + 1:
        raise ValueError("the entry in it says another number than its place in the tree")
    if entry.get("log", said.origin) != said.origin:
        raise ValueError("the entry in it was written in another log")
    cosigned = [] if policy is None else policies.cosigners(proof.signed, policy)
    return {
        "log": said.origin,
        "seq": proof.index + 1,
        "size": said.size,
        "head": said.root.hex(),
        "cosigned": cosigned,
        "entry": entry,
    }
