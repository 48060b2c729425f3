"""How a person's yes or no reaches a request: who they are, who wrote the rule, one decision.

Authorship is asked of Git (control plane) and the decision written by the runner's rooms
(data plane): this door puts the two together. Keys and Git are asked before the transaction
begins, which looks again that nothing of it has changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reconciler.cli.context import Context
from reconciler.git.authorship import Authorship
from reconciler.views import approvals as view
from reconciler.views.approvals import Standing
from runner.approval import decisions as approval_decisions
from runner.approval import rows as approval_rows
from runner.approval import signature as approval_signature
from runner.approval.decisions import Decided, Proof
from runner.approval.four_eyes import Author
from runner.approval.request import ApprovalRecord, ApprovalRequest
from runner.approval.rows import Declared
from runner.contract import settings, wake
from runner.contract.errors import OrlojError, Refused


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a command found it."""

    record: ApprovalRecord
    request: ApprovalRequest


def found(context: Context, beginning: str) -> Asked:
    """The request whose id begins so; Refused when somebody edited it."""
    with context.database.read() as connection:
        record = approval_rows.get(connection, approval_rows.resolve(connection, beginning))
    return Asked(record, record.request())


def by_login(context: Context, asked: Asked) -> Proof:
    """That whoever runs this command is an approver, by the login of this host; Refused."""
    login = settings.person()
    with context.database.read() as connection:
        approver = approval_decisions.by_login(connection, asked.request, login)
    return Proof(approver=approver, assurance="login", login=login)


def by_signature(context: Context, asked: Asked, key: Path | None, file: Path | None) -> Proof:
    """That an approver signed the request's bytes, now or before; Refused."""
    with context.database.read() as connection:
        approvers = approval_decisions.signers(connection, asked.request)
    if file is not None:
        signature = approval_signature.read_signature(file)
    else:
        assert key is not None, "either a key or a signature is given"
        signature = approval_signature.sign(asked.record.raw, key)
    return Proof(
        approver=approval_signature.signer(asked.record.raw, signature, approvers),
        assurance="signature",
        login=settings.person(),
        signature=signature,
    )


def authors(context: Context, request: ApprovalRequest) -> list[Author]:
    """Who had a hand in the lines of Git that govern the call; OrlojError if unknown."""
    places = [place.at for place in request.places if place.by is None]
    if not places or not request.four_eyes:
        return []
    git = Authorship(context.settings)
    return [
        Author(hand.role, hand.email, hand.commit, at)
        for at in dict.fromkeys(places)
        for hand in git.of_line(request.call.commit, at)
    ]


def line_texts(context: Context, request: ApprovalRequest) -> dict[str, str]:
    """The text of the lines of Git that govern the call, as far as it can be read."""
    found: dict[str, str] = {}
    try:
        git = Authorship(context.settings)
        for place in request.places:
            text = git.text(request.call.commit, place.at) if place.by is None else None
            if text is not None:
                found[place.at] = text
    except OrlojError:
        return found  # It is only shown; whoever decides is told why Git cannot be asked.
    return found


def standings(context: Context, asked: Asked) -> list[Standing]:
    """Each approver, and why they may not approve."""
    with context.database.read() as connection:
        declared = approval_rows.approvers(connection, asked.request.call.namespace)
    try:
        known: Sequence[Author] | None = authors(context, asked.request)
        unknown = None
    except OrlojError as error:
        known, unknown = None, str(error)
    return [_standing(asked.request, one, known, unknown) for one in declared]


def _standing(
    request: ApprovalRequest,
    approver: Declared,
    known: Sequence[Author] | None,
    unknown: str | None,
) -> Standing:
    how: Literal["login", "signature"] = "login"
    if request.assurance == "signature" or approver.spec.user is None:
        how = "signature"
    if how == "signature" and not approver.spec.keys:
        why: str | None = "the namespace takes signatures only, and the Approver has no keys"
    elif request.four_eyes and known is None:
        why = unknown
    else:
        proof = Proof(
            approver=approver,
            assurance=how,
            login=approver.spec.user or "",
            authors=known,
        )
        why = approval_decisions.hindrance(request, proof)
    means = f"login {approver.spec.user}" if how == "login" else "signature"
    return Standing(approver.name, means, why)


def one_way(key: Path | None, signature: Path | None) -> None:
    """Refused when two ways to prove who decides are given."""
    if key is not None and signature is not None:
        raise Refused("give --sign or --signature, not both")


def told(context: Context, decided: Decided, as_json: bool) -> None:
    """Wake who waits for a decision, and print it with what to type next."""
    context.database.knock(wake.RUNNER)
    wake.knock(context.settings.run, wake.NOTIFIER)
    if as_json:
        context.show_json(view.decided_json(decided.record, decided.task_state))
        return
    context.show(view.decided_words(decided.record))
    if decided.loudly is not None:
        context.say(f"WARNING: {decided.loudly}.")
    context.say(f"Next: orloj logs -f {decided.record.task}")
