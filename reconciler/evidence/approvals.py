"""approvals/: what persons were asked and how they signed, where that may be shown.

    <request>.json    the exact bytes that were shown and signed
    <request>.sig     the SSH signature over them, where the approver signed
    allowed_signers   the approvers' keys, as the commit says that was in force, under the
                      name that entries have for them

A request holds the arguments of its call. It is shown when `arguments` are disclosed, or its
task is; else nothing of it is here but what the entries say. A signature is here when its
decision is in the period: one that came later does not change what was exported.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from reconciler.evidence.commits import Commits
from reconciler.evidence.disclosures import Choice
from reconciler.evidence.part import Scope
from runner.contract import audit, errors, kinds
from runner.contract.audit_entry import NO_COMMIT, EntryType
from runner.contract.kinds import Approver

ARGUMENTS: Final = "arguments"
SIGNATURE_NAMESPACE: Final = "orloj-approval"
_DECISIONS: Final = frozenset({EntryType.APPROVAL_GRANTED, EntryType.APPROVAL_DENIED})
_ONE = "SELECT request, signature, approver_hash FROM approval WHERE id = ?"
_APPLIED = (
    "SELECT raw FROM audit_entry WHERE type = 'manifest.applied' AND seq <= ?"
    " ORDER BY seq DESC LIMIT 50"
)
_RECORDED = "SELECT body FROM resource WHERE kind = 'Approver' AND spec_hash = ? LIMIT 1"


class Approvals:
    """Remembers which requests the entries name, and writes them."""

    def __init__(
        self,
        scope: Scope,
        connection: Connection,
        choice: Choice,
        mirrors: Mapping[str, Commits],
    ) -> None:
        self._folder = scope.folder / "approvals"
        self._connection, self._choice, self._mirrors = connection, choice, mirrors
        self._digests: dict[str, str] = {}
        self._decided: dict[str, audit.Stored] = {}

    def take(self, entry: audit.Stored) -> None:
        """Look whether an entry is about a request that is shown."""
        fields = entry.fields
        request, digest = fields.get("approval"), fields.get("digest")
        shown = ARGUMENTS in self._choice.fields or fields.get("task") in self._choice.tasks
        if not (request and shown and str(fields["type"]).startswith("action.")):
            return
        if fields["type"] in _DECISIONS or fields["type"] == EntryType.APPROVAL_REQUESTED:
            self._digests[request] = str(digest)
        if fields["type"] in _DECISIONS:
            self._decided[request] = entry

    def end(self) -> None:
        """Write the requests, the signatures, and by which keys they are checked."""
        lines: set[str] = set()
        for request, digest in sorted(self._digests.items()):
            self._folder.mkdir(exist_ok=True)
            row = self._connection.exec_driver_sql(_ONE, (request,)).one_or_none()
            if row is None:
                continue  # Erased: the entries still tell of it.
            raw, signature, approver_hash = row
            if "sha256:" + _sha256(bytes(raw)) != digest:
                raise errors.AuditBroken(
                    f"the request for approval {request} is not the one that the log knows;"
                    " run `orloj audit verify`"
                )
            (self._folder / f"{request}.json").write_bytes(bytes(raw))
            decided = self._decided.get(request)
            if decided is None or not signature:
                continue
            (self._folder / f"{request}.sig").write_text(signature, encoding="ascii")
            lines |= set(self._signers(decided, approver_hash))
        if lines:
            text = "".join(sorted(lines))
            (self._folder / "allowed_signers").write_text(text, encoding="ascii")

    def _signers(self, decided: audit.Stored, hash: str) -> Iterator[str]:
        """The lines by which `ssh-keygen -Y verify` knows who decided.

        By the actor of the entry, which is a pseudonym where it is a person's: the signature
        proves who decided without saying what they are called.
        """
        body = self._body(decided, hash)
        if body is None:
            return
        spec = kinds.spec_of("Approver", body)
        assert isinstance(spec, Approver)
        who = str(decided.fields["actor"]).partition(":")[2]
        for key in spec.keys:
            words = " ".join(key.split()[:2])
            yield f'{who} namespaces="{SIGNATURE_NAMESPACE}" {words}\n'

    def _body(self, decided: audit.Stored, hash: str) -> str | None:
        """The approver as declared when they decided: by digest, so it can be no other."""
        for commit in self._governing(decided):
            for mirror in self._mirrors.values():
                if not mirror.held([commit]):
                    continue
                for resource in mirror.declared(commit):
                    if resource.key.kind == "Approver" and resource.spec_hash == hash:
                        return resource.body
        found = self._connection.exec_driver_sql(_RECORDED, (hash,)).scalar_one_or_none()
        return None if found is None else str(found)

    def _governing(self, decided: audit.Stored) -> Iterator[str]:
        """The commit of the call, then those applied before the decision, newest first."""
        seen: set[Any] = {NO_COMMIT}
        rows = self._connection.exec_driver_sql(_APPLIED, (decided.seq,)).all()
        applied = (audit.stored(0, bytes(row[0])).fields.get("commit") for row in rows)
        for commit in (decided.fields.get("commit"), *applied):
            if isinstance(commit, str) and commit not in seen:
                seen.add(commit)
                yield commit


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
