"""Which commits need a signature, and what those lack that are not good. Pure.

    head    the newest
    range   every commit that the applied one does not have, through all parents,
            except those before a seal: a commit with a good signature and the trailer
            `Orloj-Seal: true` vouches for all that it stands on

The walk follows the parents that stand in the signed bytes. Where it meets a commit that is
neither listed nor known to be applied, the range is not known, and nothing in it is trusted.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.change import Block
from reconciler.git.commit_object import CommitObject
from reconciler.git.history import COMMITS_MAX, History
from reconciler.trust.verdict import Signature, Verdict
from runner.contract.source_settings import Source

SHOWN_MAX: Final = 5
REFUSED_MAX: Final = 20
"""When so many are not good, the others are not asked about: each costs a process."""
_REASONS: Final = {
    Signature.NONE: "SignatureMissing",
    Signature.BAD: "SignatureBad",
    Signature.UNKNOWN: "SignerUnknown",
}

Ask = Callable[[CommitObject], Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The newest commit's verdict, the commits that are not good, and the seals met.

    `gap` is where the range could not be followed, as a commit and what it stands on.
    """

    newest: Verdict
    refused: tuple[tuple[CommitObject, Verdict], ...] = ()
    seals: tuple[CommitObject, ...] = ()
    gap: tuple[str, str] | None = None
    complete: bool = True


def head(history: History, ask: Ask) -> Judgement:
    """Judge the newest commit alone."""
    found = ask(history.newest)
    return Judgement(newest=found, refused=() if found.good else ((history.newest, found),))


def whole(history: History, ask: Ask) -> Judgement:
    """Judge every commit of the range that no seal vouches for, and always the newest."""
    if not history.commits:  # It went back to a commit that the applied one stands on.
        return head(history, ask)
    listed = {commit.sha: commit for commit in history.commits}
    seals = {
        commit.sha: commit for commit in history.commits if commit.seals and ask(commit).good
    }
    before = _standing_on(seals.values(), listed)
    wanted, gap = _walk(history, listed, seals.keys() | before, before)
    refused: list[tuple[CommitObject, Verdict]] = []
    for commit in wanted:
        found = ask(commit)
        if not found.good:
            refused.append((commit, found))
        if len(refused) == REFUSED_MAX:
            break
    return Judgement(
        newest=ask(history.newest),
        refused=tuple(refused),
        seals=tuple(commit for sha, commit in seals.items() if sha not in before),
        gap=gap,
        complete=history.complete,
    )


def blocks(judged: Judgement, settings: Source) -> tuple[Block, ...]:
    """Why the commits are not trusted, a sentence each; nothing when they are."""
    found = [_block(commit, verdict, settings) for commit, verdict in judged.refused]
    shown = found[:SHOWN_MAX]
    if len(found) > SHOWN_MAX:
        last = shown[-1]
        more = f"{last.sentence} (and more; orloj trust lists them)"
        shown[-1] = Block(last.reason, more, whose=last.whose)
    if judged.gap is not None and judged.complete:
        commit, parent = judged.gap
        shown.append(
            Block(
                "HistoryIncomplete",
                f"commit {commit[:12]} stands on {parent[:12]}, which the repository does not"
                " give: make it whole (git fetch --unshallow), or seal the newest commit",
            )
        )
    elif judged.gap is not None:
        shown.append(
            Block(
                "RangeTooLong",
                f"there are more than {COMMITS_MAX} commits to verify: seal them with a signed"
                ' commit (git commit --allow-empty -S -m "Seal" -m "Orloj-Seal: true")',
            )
        )
    return tuple(shown)


def _walk(
    history: History,
    listed: Mapping[str, CommitObject],
    stops: Iterable[str],
    before: Iterable[str],
) -> tuple[list[CommitObject], tuple[str, str] | None]:
    """The commits that need a signature, newest first; where their history breaks off."""
    ends, skipped = frozenset(stops), frozenset(before)
    met: set[str] = set()
    gap: tuple[str, str] | None = None
    waiting = [("", history.newest.sha)]
    while waiting:
        child, sha = waiting.pop()
        if sha in met or sha in skipped or sha in history.edges:
            continue
        if sha not in listed:
            gap = gap or (child, sha)
            continue
        met.add(sha)
        if sha not in ends:
            waiting += [(sha, parent) for parent in listed[sha].parents]
    return [commit for sha, commit in listed.items() if sha in met], gap


def _standing_on(
    seals: Iterable[CommitObject], listed: Mapping[str, CommitObject]
) -> frozenset[str]:
    """Every listed commit that a seal stands on."""
    found: set[str] = set()
    waiting = [parent for seal in seals for parent in seal.parents]
    while waiting:
        sha = waiting.pop()
        if sha not in found and sha in listed:
            found.add(sha)
            waiting += listed[sha].parents
    return frozenset(found)


def _block(commit: CommitObject, verdict: Verdict, settings: Source) -> Block:
    whose = f"{commit.author}: {commit.subject}" if commit.author else ""
    return Block(
        _REASONS[verdict.signature], f"commit {commit.sha[:12]} {_words(verdict, settings)}",
        whose=whose,
    )  # fmt: skip


def _words(verdict: Verdict, settings: Source) -> str:
    again = "sign it again (git commit --amend --no-edit -S)"
    if settings.verify == "range":
        again = (
            "sign it again (git rebase --exec 'git commit --amend --no-edit -S' BASE), or vouch"
            " for it with a signed commit after it that has the trailer Orloj-Seal: true"
        )
    if verdict.signature is Signature.NONE:
        return f"is not signed: {again}"
    key = f" ({verdict.key})" if verdict.key else ""
    if verdict.signature is Signature.BAD:
        return f"has a signature{key} that is not good, since {verdict.why}: {again}"
    later = (
        f"; a key in {settings.signers_path} counts once the commit that brings it is applied"
        if settings.signers_path
        else ""
    )
    return (
        f"is signed by nobody who is trusted{key}, since {verdict.why}: {again}, or trust the"
        f" key and run orloj reconcile{later}"
    )
