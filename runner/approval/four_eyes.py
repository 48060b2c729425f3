"""Nobody approves what a rule allows that they wrote themselves. Pure.

Whoever wrote, committed or signed for a line that governs a call is known by the e-mail of
the commit, or by the login when it was applied by hand. Who cannot be told is taken for
the same person.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from runner.contract.kinds import Approver


@dataclass(frozen=True, slots=True)
class Author:
    """Somebody who had a hand in a line. `role` is author, committer or co-author."""

    role: str
    email: str
    commit: str
    at: str


def conflict(
    approver: Approver, login: str | None, authors: Iterable[Author], by_hand: Iterable[str]
) -> str | None:
    """Why this person may not approve; None: they may.

    `by_hand` are the owners (`person:NAME`) of what Git does not declare; `login` is who
    runs the command.
    """
    emails = {_folded(email) for email in approver.emails}
    for author in authors:
        if _folded(author.email) in emails:
            return f"{author.role} of {author.at} in commit {author.commit[:12]}"
    for owner in by_hand:
        name = owner.removeprefix("person:")
        if name in (approver.user, login):
            return f"{name} applied a governing manifest by hand"
        if approver.user is None:
            return (
                f"{name} applied a governing manifest by hand, and without a `user` in the"
                " Approver nobody can tell whether that is the same person"
            )
    return None


def _folded(email: str) -> str:
    return email.strip().strip("<>").casefold()
