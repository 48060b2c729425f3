"""Findings on what stands around agents: namespaces, approvers, data, secrets, models. Pure."""

from collections.abc import Iterator
from typing import Final

from reconciler.governance import words
from reconciler.governance.finding import Finding, Severity
from reconciler.governance.words import Limit
from reconciler.governance.world import Sides
from runner.contract.kinds import (
    Approver,
    DataSource,
    ModelEndpoint,
    Namespace,
    RetentionPolicy,
    Secret,
)
from runner.contract.kinds.retention_policy import Keep, days

_TTL: Final = (Limit("approvals.ttl", "/spec/approvals/ttl", lambda s: s.approvals.ttl),)
_ROWS: Final = (Limit("max_rows", "/spec/max_rows", lambda s: s.max_rows),)


def namespace(sides: Sides) -> Iterator[Finding]:
    """The rules of a whole namespace; a missing one is strict."""
    old, new = (spec or Namespace() for spec in sides.specs(Namespace))
    name = f"the namespace {sides.key.namespace}"
    if (old.compat, new.compat) == ("strict", "permissive"):
        sentence = f"{name} is permissive now (compat): what no rule speaks of is ALLOWED"
        yield sides.widens("compat-permissive", sentence, "/spec/compat", loud=True)
    elif old.compat != new.compat:
        sentence = f"{name} is strict again (compat): what no rule speaks of is denied"
        yield sides.narrows("compat-strict", sentence)
    if old.approvals.four_eyes and not new.approvals.four_eyes:
        sentence = f"{name} drops the four eyes: people may approve what they wrote themselves"
        yield sides.widens("four-eyes-off", sentence, "/spec/approvals/four_eyes", loud=True)
    elif new.approvals.four_eyes and not old.approvals.four_eyes:
        yield sides.narrows("four-eyes-on", f"{name} wants four eyes for approvals")
    if old.approvals.assurance != new.approvals.assurance:
        if new.approvals.assurance == "login":
            sentence = f"{name} takes an approval by login, without a signature"
            yield sides.widens("assurance-weaker", sentence, "/spec/approvals/assurance")
        else:
            yield sides.narrows("assurance-stronger", f"{name} wants approvals to be signed")
    yield from words.moved(sides, _TTL, old, new)


def approver(sides: Sides) -> Iterator[Finding]:
    """Who may approve, and how they are known."""
    old, new = sides.specs(Approver)
    name, where = sides.key.name, f"in the namespace {sides.key.namespace}"
    if old is None and new is not None:
        yield sides.widens("approver-added", f"{name} may approve calls {where}")
    elif new is None and old is not None:
        yield sides.narrows("approver-removed", f"{name} may no longer approve calls {where}")
    if old is None or new is None:
        return
    yield from _known(sides, old, new)


def _known(sides: Sides, old: Approver, new: Approver) -> Iterator[Finding]:
    name = sides.key.name
    for key in words.added(old.keys, new.keys):
        pointer = f"/spec/keys/{new.keys.index(key)}"
        yield sides.widens("approver-key-added", f"{name} may sign with {_key(key)}", pointer)
    for key in words.added(new.keys, old.keys):
        sentence = f"{name} may no longer sign with {_key(key)}"
        yield sides.narrows("approver-key-removed", sentence)
    if old.user != new.user:
        who = f"the login {new.user}" if new.user else "no login"
        severity = Severity.WIDENS if new.user else Severity.NARROWS
        sentence = f"{name} is known by {who} (it was {old.user or 'none'})"
        yield sides.finding(severity, "approver-login-changed", sentence, "/spec/user")
    for email in words.added(new.emails, old.emails):
        sentence = f"commits of {email} no longer count as {name}'s own for the four eyes"
        yield sides.widens("approver-email-removed", sentence, "/spec/emails")
    for email in words.added(old.emails, new.emails):
        sentence = f"commits of {email} count as {name}'s own for the four eyes"
        yield sides.narrows("approver-email-added", sentence, "/spec/emails")


def _key(key: str) -> str:
    kind, text, *comment = key.split()
    return " ".join([kind, f"…{text[-12:]}", *comment])


def retention(sides: Sides) -> Iterator[Finding]:
    """How long things are kept: less than before cannot be had back once it is erased."""
    old, new = sides.specs(RetentionPolicy)
    for name in Keep.model_fields:
        was, now = (getattr(spec.keep, name) if spec else None for spec in (old, new))
        if was == now:
            continue
        sentence = f"{name} are kept {_kept(now)} by {sides.key.name} (it was {_kept(was)})"
        if now is not None and (was is None or days(now) < days(was)):
            yield sides.widens("kept-shorter", sentence, f"/spec/keep/{name}")
        else:
            yield sides.narrows("kept-longer", sentence)


def _kept(period: str | None) -> str:
    return f"for {period}" if period else "for ever"


def data_source(sides: Sides) -> Iterator[Finding]:
    """What may be touched inside a source of data; no tables named means all."""
    old, new = sides.specs(DataSource)
    if old is None or new is None:
        return
    name = sides.key.name
    yield from _tables(sides, old, new)
    if "private" in old.labels and "private" not in new.labels:
        sentence = f"{name} is no longer labelled private: nobody looks where its data goes"
        yield sides.widens("label-removed", sentence)
    if (old.type, old.path, old.url, old.role) != (new.type, new.path, new.url, new.role):
        sentence = f"{name} names other data than before"
        yield sides.widens("data-moved", sentence)
    yield from words.moved(sides, _ROWS, old, new)


def _tables(sides: Sides, old: DataSource, new: DataSource) -> Iterator[Finding]:
    name = sides.key.name
    for field, verb in (("tables", "touched"), ("writable", "written")):
        had, has = getattr(old, field), getattr(new, field)
        if had and not has:
            sentence = f"every table of {name} may be {verb} (it was {words.listed(had)})"
            yield sides.widens("data-widened", sentence)
        elif has and not had:
            sentence = f"only {words.listed(has)} of {name} may be {verb}"
            yield sides.narrows("data-narrowed", sentence, f"/spec/{field}")
        else:
            for table in words.added(had, has):
                sentence = f"the table {table} of {name} may be {verb}"
                yield sides.widens("data-widened", sentence, f"/spec/{field}")
            for table in words.added(has, had):
                sentence = f"the table {table} of {name} may no longer be {verb}"
                yield sides.narrows("data-narrowed", sentence)


def secret(sides: Sides) -> Iterator[Finding]:
    """Which values of the host a Secret names. Its own value is nobody's business here."""
    old, new = (spec.from_env | spec.from_file if spec else {} for spec in sides.specs(Secret))
    for entry in words.added(old.items(), new.items()):
        sentence = f"the Secret {sides.key.name} hands out {entry[1]} of the runner's host"
        yield sides.widens("secret-source-added", sentence)
    for entry in words.added(new.items(), old.items()):
        sentence = f"the Secret {sides.key.name} no longer hands out {entry[1]}"
        yield sides.narrows("secret-source-removed", sentence)


def model_endpoint(sides: Sides) -> Iterator[Finding]:
    """Where prompts go: another address, or another Secret to go there with."""
    old, new = sides.specs(ModelEndpoint)
    if old is None or new is None:
        return
    if (old.provider, old.base_url) != (new.provider, new.base_url):
        sentence = f"what agents tell the model endpoint {sides.key.name} goes elsewhere now"
        yield sides.widens("model-moved", sentence, "/spec/base_url")
    before, after = (spec.auth.secret_ref if spec.auth else None for spec in (old, new))
    if after is not None and after != before:
        sentence = f"the model endpoint {sides.key.name} is given the Secret {after}"
        yield sides.widens("secret-given", sentence, "/spec/auth/secretRef")
    what = f"what agents tell the model endpoint {sides.key.name}"
    yield from words.fallbacks(sides, what, old.fallback_model_refs, new.fallback_model_refs)
