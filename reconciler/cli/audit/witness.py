"""`orloj audit witness`: watch that a log only grows, and cosign what it signs.

`key`, `serve` and `sign` are the witness's, and need no home and no database. `request` and
`add` are the log's, for a witness that cannot be reached over the network.
"""

import os
import signal
from pathlib import Path
from typing import Final, TextIO

import click

from reconciler.cli.context import Context
from reconciler.proof import checkpoint, checkpoints, cosigning, keys, note, request, witness
from reconciler.proof.note import SigningKey, VerifierKey
from reconciler.proof.request import Refusal, Request
from reconciler.web import server
from reconciler.web import witness as port
from reconciler.web.router import Router
from runner.contract import audit, clock, errors, telemetry, web_settings

ALGORITHMS: Final = {"ed25519": note.COSIGNATURE, "ml-dsa-44": note.ML_DSA_44}
_FILE: Final = click.Path(path_type=Path, dir_okay=False)

_key_option = click.option(
    "--key", "key_file", type=_FILE, required=True, help="File with the witness's keys."
)
_state_option = click.option(
    "--state", type=_FILE, required=True, help="File that remembers what was cosigned."
)
_log_option = click.option(
    "--log",
    "logs",
    metavar="VKEY",
    multiple=True,
    required=True,
    help="Public key of a log to watch, or a file with one a line. May be given again.",
)


@click.group()
def command() -> None:
    """Watch that a log only grows, and cosign its checkpoints."""


@command.command()
@click.option("--name", required=True, help="What the witness is called: w.example/audit.")
@click.option("--out", type=_FILE, required=True, help="File to write the key to.")
@click.option(
    "--algorithm",
    type=click.Choice(list(ALGORITHMS)),
    default="ed25519",
    show_default=True,
    help="ml-dsa-44 cannot be forged by a quantum computer; 3 KB a checkpoint instead of 0.1.",
)
@click.pass_obj
def key(context: Context, name: str, out: Path, algorithm: str) -> None:
    """Make a key, and print its public half for policies."""
    try:
        made = note.generate(name, ALGORITHMS[algorithm])
    except ValueError as error:
        raise errors.Refused(f"--name: {error}") from None
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise errors.Refused(f"{out} is there already; a key is never written over") from None
    with os.fdopen(descriptor, "w") as opened:
        opened.write(made.secret + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    click.echo(str(made.verifier))
    context.say(
        f"The key is in {out}; keep it from the people who run the log. Next:"
        f" orloj audit witness serve --listen 127.0.0.1:8472 --key {out}"
        " --state witness.json --log VKEY"
    )


@command.command()
@click.option("--listen", required=True, metavar="ADDRESS:PORT", help="Where to listen.")
@_key_option
@_state_option
@_log_option
@click.pass_obj
def serve(
    context: Context, listen: str, key_file: Path, state: Path, logs: tuple[str, ...]
) -> None:
    """Answer logs (c2sp.org/tlog-witness) until stopped."""
    telemetry.configure()
    try:
        host, number = web_settings.host_and_port(listen)
    except ValueError as error:
        raise errors.Refused(f"--listen: {error}") from None
    stopping = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    asked = _witness(key_file, state, logs)
    asked.check()
    router = Router([port.route(asked, lambda: clock.now_us() // 1_000_000)])
    serving = server.Server(host, number, router, "--listen")
    serving.start()
    telemetry.log("witness_listening", "The witness answers.", address=host, port=serving.port)
    signal.sigwait(stopping)
    serving.stop()
    telemetry.log("witness_stopped", "The witness ends.")


@command.command()
@click.argument("file", metavar="REQUEST", type=click.File("r", encoding="utf-8"))
@_key_option
@_state_option
@_log_option
@click.pass_obj
def sign(
    context: Context, file: TextIO, key_file: Path, state: Path, logs: tuple[str, ...]
) -> None:
    """Cosign one checkpoint from a file (`-`: standard input), and print the cosigned note."""
    try:
        asked = request.parse(file.read(request.BYTES_MAX + 1))
    except ValueError as error:
        raise errors.Refused(f"{file.name} is no request: {error}") from None
    found = _witness(key_file, state, logs).cosign(asked, clock.now_us() // 1_000_000)
    if isinstance(found, Refusal):
        raise errors.Refused(f"not cosigned: {found.problem}{_remedy(found)}")
    click.echo(f"{asked.signed}{found.lines}", nl=False)
    context.say(f"Cosigned {found.checkpoint.size} entries of {found.checkpoint.origin}.")


def _remedy(refusal: Refusal) -> str:
    if refusal.size is None or refusal.fork:
        return ""
    return f"; ask again with `orloj audit witness request --old {refusal.size}`"


@command.command(name="request")
@click.option(
    "--old",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="How many entries the witness cosigned last; 0: it knows nothing of this log.",
)
@click.option("--out", type=_FILE, help="File to write. Default: standard output.")
@click.pass_obj
def ask(context: Context, old: int, out: Path | None) -> None:
    """Write what a witness needs to cosign the newest checkpoint."""
    with context.database.read() as connection:
        newest = checkpoints.newest(connection)
        if newest is None:
            raise errors.NotFound("nothing was signed yet: the daemon signs as the log grows")
        if old > newest.size:
            raise errors.Refused(
                f"the newest checkpoint has {newest.size} entries and cannot go on from {old}:"
                " the witness saw more of this log than there is here"
            )
        signed = note.parse(newest.note)
        made = Request(old, cosigning.growth(connection, old, newest.size), signed)
    if out is None:
        click.echo(str(made), nl=False)
        return
    out.write_text(str(made), encoding="utf-8")
    context.say(
        f"Next, at the witness: orloj audit witness sign {out} --key … --state … --log …"
    )


@command.command()
@click.argument("file", metavar="NOTE", type=click.File("r", encoding="utf-8"))
@click.pass_obj
def add(context: Context, file: TextIO) -> None:
    """Add cosignatures that a witness of the policy made elsewhere to their checkpoint."""
    chosen = cosigning.policy_of(context.settings)
    if chosen is None:
        raise errors.SettingsInvalid("audit.policy names no file: no witness is known here")
    try:
        signed = note.parse(file.read(request.BYTES_MAX + 1))
        said = checkpoint.parse(signed.text)
    except ValueError as error:
        raise errors.Refused(f"{file.name} is no cosigned checkpoint: {error}") from None
    with context.database.write() as connection:
        log = audit.name(connection)
        if said.origin != log:
            raise errors.Refused(f"{file.name} is of the log {said.origin}, and this is {log}")
        names = cosigning.keep(connection, said, signed, chosen)
    if not names:
        raise errors.Refused(
            f"no witness of {context.settings.audit.policy} cosigned {file.name}"
        )
    click.echo(f"{said.size} entries, cosigned by {', '.join(names)}")


def _witness(key_file: Path, state: Path, logs: tuple[str, ...]) -> witness.Witness:
    return witness.Witness(_signing_keys(key_file), _log_keys(logs), state.absolute())


def _signing_keys(file: Path) -> list[SigningKey]:
    if not keys.secret_of_ours(file):
        raise errors.SettingsInvalid(f"{file} can be read by others: `chmod 600 {file}`")
    try:
        found = [note.parse_signer(line) for line in _lines(file)]
    except ValueError as error:
        raise errors.SettingsInvalid(f"{file} holds no signing key: {error}") from None
    if not found or any(one.type not in note.COSIGNATURES for one in found):
        raise errors.SettingsInvalid(
            f"{file} holds no key of a witness; make one with `orloj audit witness key`"
        )
    return found


def _log_keys(logs: tuple[str, ...]) -> list[VerifierKey]:
    found: list[VerifierKey] = []
    for text in logs:
        lines = [text] if "+" in text else _lines(Path(text))
        try:
            found += [note.parse_verifier(line) for line in lines]
        except ValueError as error:
            raise errors.SettingsInvalid(f"--log {text[:80]}: {error}") from None
    if any(one.type == note.COSIGNATURE for one in found):
        raise errors.SettingsInvalid("--log: this is the key of a witness, and signs no log")
    return found


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.SettingsInvalid(f"{file} cannot be read") from error
    return [line for line in lines if line and not line.startswith("#")]
