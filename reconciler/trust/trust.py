"""The question that a pass asks: may this commit follow the one applied, and who vouches?

    rewritten? ──policy──> block
    verify off ──────────> nothing is asked of anybody; trailers are noted
    head, range ─ keys ─ verdicts ─ judgement ──> blocks, or who vouches
    the commit is applied already ─────────────> as it was found then

Without keys, without a program or without an answer a commit is not trusted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from reconciler.change import Block, Provenance
from reconciler.git.commit_object import CommitObject
from reconciler.git.history import History
from reconciler.git.source import GitSource
from reconciler.override import Override
from reconciler.trust import judgement, keys, rewrite
from reconciler.trust.provenance import provenance
from reconciler.trust.verdict import Verdict
from reconciler.trust.verifier import verifier
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
    overrides: Sequence[Override] = ()

    @property
    def commit(self) -> str:
        """The hash of the commit in question."""
        return self.history.newest.sha


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Why the commit may not be followed, if so, and who vouches for it.

    `verdicts` are those of the commits that were asked about, newest first.
    """

    blocks: tuple[Block, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    verdicts: tuple[tuple[CommitObject, Verdict], ...] = ()


def whole_history(settings: Source) -> bool:
    """Whether the first commit is judged with all that it stands on."""
    return settings.verify == "range"


def examine(request: TrustRequest) -> Trust:
    """What is known of the commits from `previous` to the newest; SourceError if Git fails."""
    if request.previous == request.commit and request.before is not None:
        return Trust(provenance=request.before)
    rewritten: tuple[Block, ...] = ()
    if request.previous is not None and not request.history.fast_forward:
        rewritten = rewrite.blocks(
            *(request.settings, request.source, request.previous),
            *(request.commit, request.overrides),
        )
    if request.settings.verify == "off" or request.previous == request.commit:
        return Trust(blocks=rewritten, provenance=provenance(request.history))
    try:
        judged = _judged(request)
    except errors.SourceStalled as error:
        block = Block(error.reason, str(error))
        return Trust(blocks=(*rewritten, block), provenance=provenance(request.history))
    return Trust(
        blocks=(*rewritten, *judged.blocks),
        provenance=judged.provenance,
        verdicts=judged.verdicts,
    )


def _judged(request: TrustRequest) -> Trust:
    settings, history = request.settings, request.history
    vouched = request.before is not None and request.before.signature == "good"
    trusted = keys.load(request.git, settings, request.previous, vouched=vouched)
    asked: dict[str, Verdict] = {}
    with verifier(trusted) as verifying:

        def ask(commit: CommitObject) -> Verdict:
            asked[commit.sha] = found = verifying.verdict(commit)
            return found

        judge = judgement.whole if settings.verify == "range" else judgement.head
        judged = judge(history, ask)
    return Trust(
        blocks=judgement.blocks(judged, settings),
        provenance=provenance(history, judged.newest, judged.seals),
        verdicts=tuple((one, asked[one.sha]) for one in history.commits if one.sha in asked),
    )
