"""One push, while its ref has not moved: its plan, and the answer.

    the update of the followed ref ──> commit ──> preview ──> verdict ──> what is let pass

All that a push must not come past raises: who called turns it into a refusal.
"""

from dataclasses import dataclass
from pathlib import Path

from reconciler import override
from reconciler.git.received import ReceivedSource
from reconciler.push import judgement
from reconciler.push.followed import Update, followed
from reconciler.push.options import Options
from reconciler.push.verdict import Ending, Verdict
from reconciler.reconcile import Reconciler
from reconciler.resource import person_owner
from runner.contract import clock, errors
from runner.contract.database import Database
from runner.contract.settings import Settings
from runner.contract.source_settings import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One push: what git told the hook, and who pushes."""

    repository: Path
    quarantine: str
    update: Update
    options: Options
    pusher: str


def receive(settings: Settings, database: Database, name: str, push: Push) -> Verdict:
    """The answer to a push; what is let pass is recorded once it may go on. OrlojError."""
    update, options = push.update, push.options
    if options.mistakes:
        return _refused(*options.mistakes)
    if update.deletes:
        return _refused(
            f"{update.ref} is what Orloj follows: deleting it is never taken for a wish to"
            " delete what it declares. To stop following it, set source.url to nothing"
        )
    source = settings.followed[name]
    git = ReceivedSource(source, push.repository, push.quarantine, folder(settings, name))
    try:
        found = _verdict(Reconciler(settings, database, name, git=git), git, push)
    except errors.SourceStalled as error:
        return _refused(str(error))
    given = judgement.overrides(found, options, person_owner(push.pusher))
    if given:
        with database.write() as connection:
            override.give(connection, name, found.commit, given, clock.now_us())
    return found


def folder(settings: Settings, name: str) -> Path:
    """Where git finds what it needs while a push to this source is looked at."""
    return settings.home / "hook" / name


def _verdict(reconciler: Reconciler, git: ReceivedSource, push: Push) -> Verdict:
    commit = git.commit(push.update.new)
    if push.update.ref.startswith("refs/heads/") and commit != push.update.new:
        return _refused(f"{push.update.ref} is a branch, and names a commit, not a tag")
    actor = person_owner(push.pusher)
    seen = reconciler.preview(commit, letting=judgement.let_pass(push.options, actor))
    return judgement.judge(seen, push.options)


def elsewhere(source: Source) -> Verdict:
    """The answer to a push that says something to us and does not move the followed ref."""
    ref = followed(source).removeprefix("refs/heads/")
    ask = f"; to see what yours would do: git push -o plan-only … HEAD:{ref}" if ref else ""
    return _refused(
        f"what you said with -o is about {ref or 'the ref'} that Orloj follows, and this push"
        f" does not move it{ask}"
    )


def _refused(*sentences: str) -> Verdict:
    return Verdict(ending=Ending.REFUSED, sentences=sentences)
