"""The question that a pass asks: may this commit follow the one applied, and who vouches?

    verify off ──────────> nothing is asked of anybody; trailers are noted
    head, range ─ keys ─ verdicts ─ judgement ──> blocks, or who vouches
    the commit is applied already ─────────────> as it was found then

Without keys, without a program or without an answer a commit is not trusted.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from reconciler.change import Block, Provenance
from reconciler.git.commit_object import CommitObject
from reconciler.git.history import History
from reconciler.git.source import GitSource
from reconciler.trust import judgement, keys
from reconciler.trust.provenance import provenance
from reconciler.trust.verdict import Inspection, Judged, Verdict, unasked
from reconciler.trust.verifier import Verifier, verifier
from runner.contract import errors
from runner.contract.source_settings import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRequest:
    """A fetched commit, the one applied before it, and what lies between.

    `before` is what was known of the one applied when it was; None if nobody asked then.
    """

    git: GitSource
    settings: Source
    source: str
    previous: str | None
    history: History
    before: Provenance | None = None

    @property
    def commit(self) -> str:
        """The hash of the commit in question."""
        return self.history.newest.sha


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Why the commit may not be followed, if so, and who vouches for it."""

    blocks: tuple[Block, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)


def whole_history(settings: Source) -> bool:
    """Whether the first commit is judged with all that it stands on."""
    return settings.verify == "range"


def examine(request: TrustRequest) -> Trust:
    """What is known of the commits from `previous` to the newest; SourceError if Git fails."""
    if request.previous == request.commit and request.before is not None:
        return Trust(provenance=request.before)
    if request.settings.verify == "off" or request.previous == request.commit:
        return Trust(provenance=provenance(request.history))
    try:
        with _verifier(request) as verifying:
            judge = judgement.whole if request.settings.verify == "range" else judgement.head
            judged = judge(request.history, verifying.verdict)
    except errors.SourceStalled as error:
        block = Block(error.reason, str(error))
        return Trust(blocks=(block,), provenance=provenance(request.history))
    return Trust(
        blocks=judgement.blocks(judged, request.settings),
        provenance=provenance(request.history, judged.newest, judged.seals),
    )


def inspect(request: TrustRequest, listed: History) -> Inspection:
    """How every listed commit is signed, whatever the settings ask; and what `examine` says."""
    ask: Callable[[CommitObject], Verdict] = _unasked
    with contextlib.ExitStack() as held:
        # Without keys nobody can be asked; that they are missing is what `examine` says.
        with contextlib.suppress(errors.SourceStalled):
            ask = held.enter_context(_verifier(request)).verdict
        found = tuple(_judged(one, ask(one)) for one in listed.commits or (listed.newest,))
    return Inspection(
        source=request.source,
        commit=request.commit,
        previous=request.previous,
        verify=request.settings.verify,
        fast_forward=request.history.fast_forward,
        complete=listed.complete,
        commits=found,
        blocks=examine(request).blocks,
    )


def _unasked(commit: CommitObject) -> Verdict:
    return unasked(commit.signature is not None)


@contextlib.contextmanager
def _verifier(request: TrustRequest) -> Iterator[Verifier]:
    vouched = request.before is not None and request.before.signature == "good"
    trusted = keys.load(request.git, request.settings, request.previous, vouched=vouched)
    with verifier(trusted) as verifying:
        yield verifying


def _judged(commit: CommitObject, found: Verdict) -> Judged:
    return Judged(
        commit=commit.sha,
        author=commit.author,
        committer=commit.committer,
        subject=commit.subject,
        seal=commit.seals,
        verdict=found,
    )
