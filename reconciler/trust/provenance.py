"""Who vouches for a plan's commits, as the plan and the log will say it. Pure.

Trailers are what the commits say of themselves: as true as whoever signed them is careful.
"""

from collections.abc import Iterable
from typing import Final

from reconciler.change import Provenance
from reconciler.git.commit_object import CommitObject
from reconciler.git.history import History
from reconciler.trust.verdict import Verdict, unasked

KEPT_MAX: Final = 100
_REVIEWS: Final = ("reviewed-by", "approved-by")
_NAMED: Final = (*_REVIEWS, "signed-off-by", "co-authored-by")
_OURS: Final = "orloj-"


def provenance(
    history: History, verdict: Verdict | None = None, seals: Iterable[CommitObject] = ()
) -> Provenance:
    """The newest commit's signature, and what the commits of the range say of themselves.

    Without a `verdict` nobody looked: a signature is `none`, or `unknown`.
    """
    newest = history.newest
    verdict = verdict or unasked(newest.signature is not None)
    said = dict.fromkeys(
        (name, value)
        for commit in history.commits
        for name, value in commit.trailers
        if value and (name.lower() in _NAMED or name.lower().startswith(_OURS))
    )
    reviewers = dict.fromkeys(value for name, value in said if name.lower() in _REVIEWS)
    return Provenance(
        signature=verdict.signature.value,
        signer=verdict.signer,
        key=verdict.key,
        reviewers=tuple(reviewers)[:KEPT_MAX],
        trailers=tuple(said)[:KEPT_MAX],
        remarks=tuple(_remarks(newest, verdict, seals)),
    )


def _remarks(
    newest: CommitObject, verdict: Verdict, seals: Iterable[CommitObject]
) -> Iterable[str]:
    if verdict.good and not _same(verdict.signer, newest.committer_email):
        yield f"signed by {verdict.signer}, committed by {newest.committer}"
    for seal in seals:
        yield f"commit {seal.sha[:12]} seals all that came before it"


def _same(signer: str, email: str) -> bool:
    """Whether the signer is known by the committer's address."""
    address = signer.rpartition("<")[2].removesuffix(">")
    return bool(email) and address.lower() == email.lower()
