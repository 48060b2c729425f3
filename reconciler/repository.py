"""A repository as the settings name it, for those who read it. Writes nothing but the cache."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reconciler import manifest, preview
from reconciler.condition import Conditions
from reconciler.desired import Loader, Scope
from reconciler.git import address as git_address
from reconciler.git.mirror import mirror_folder
from reconciler.git.pointer import Wanted
from reconciler.git.source import GitSource
from reconciler.override import Override
from reconciler.preview import Place, Preview
from reconciler.resource import Resource, git_owner
from reconciler.trust.verdict import Inspection
from runner.contract import audit_entry, clock, errors, kinds, seal
from runner.contract.database import Database
from runner.contract.kinds import Key
from runner.contract.settings import DEFAULT_SOURCE, Settings
from runner.contract.source_settings import Source


class Repository:
    """One repository of the settings: what it declares, and what a pass over it would do.

    SettingsInvalid when no repository of that name is to be followed.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        name: str = DEFAULT_SOURCE,
        ref: str | None = None,
        git: GitSource | None = None,
    ) -> None:
        source = settings.followed.get(name)
        if source is None:
            raise errors.SettingsInvalid(source_unset(settings, name))
        if ref is not None:  # Asked for one, neither a range nor a commit counts.
            source = source.model_copy(update={"ref": ref, "semver": "", "commit": ""})
        self.name = name
        self._database = database
        self._wanted = Wanted(source.ref, source.semver, source.commit)
        self._conditions = Conditions(name, source, database, self._wanted.shown())
        self._git = git or GitSource(
            *(source.url, source.ref, source.path),
            *(mirror_folder(settings.home, name), source.timeout_s),
            more=source,
        )
        owner = git_owner(name)
        self.place = Place(
            git=self._git,
            loader=Loader(self._git, database, seal.sealer(settings.home), owner),
            database=database,
            owner=owner,
            source=name,
            ref=self._wanted.shown(),
            settings=source,
            neighbours=frozenset(git_owner(other) for other in settings.followed) - {owner},
        )
        self.digest = _settings_digest(source)

    def resolve(self) -> str:
        """The commit that the ref names now; SourceError."""
        return self._git.resolve()

    def named(self, commit: str) -> str:
        """The whole hash of a commit, of which the beginning is enough; SourceError."""
        return self._git.named(commit)

    def ahead(self, commit: str, of: str) -> int | None:
        """How many commits `commit` has on top of another; None where it is not on top."""
        if not self._git.has(of) or not self._git.is_ancestor(of, commit):
            return None
        return self._git.commit_count(of, commit)

    def renames(self, old: str, new: str) -> Mapping[str, tuple[str, int]]:
        """The manifests that stand under another path in `new`; SourceError."""
        return self._git.renames(old, new)

    def declared(self, commit: str) -> tuple[str, Mapping[Key, Resource]]:
        """A commit by its hash or the beginning of it, and all it declares; SourceError."""
        found = self._git.named(commit)
        with self._database.read() as connection:
            return found, self.place.loader.everything(connection, found)

    def preview(self, commit: str | None = None, letting: Sequence[Override] = ()) -> Preview:
        """What a pass would do now, or at a commit; writes only the blob cache. SourceError.

        `letting` is what would be let pass besides what is.
        """
        if commit is None:
            found = self._git.find()
            commit = found.commit
            self._named(found.name)
        self._git.fetch(commit)
        state = self._conditions.state()
        usable = (
            state is not None
            and state.settings_digest == self.digest
            and state.applied_commit is not None
            and self._git.has(state.applied_commit)
        )
        scope = Scope.CHANGES if usable else Scope.EVERYTHING
        now_us = clock.now_us()
        return preview.preview(
            *(self.place, commit, state, scope),
            now_us=now_us,
            letting=letting,
            touching=True,
        )

    def inspect(self, commit: str | None, *, whole: bool) -> Inspection:
        """How the commits are signed that a pass would follow now; SourceError."""
        named = self._git.named(commit) if commit else self._git.resolve()
        self._git.fetch(named)
        state = self._conditions.state()
        previous = state.applied_commit if state else None
        return preview.inspect(self.place, named, previous, whole=whole)

    def _named(self, tag: str) -> None:
        """Show the tag that a range led to beside the range."""
        shown = self._wanted.shown(tag)
        self._conditions.ref = shown
        self.place = replace(self.place, ref=shown)


def source_unset(settings: Settings, name: str = DEFAULT_SOURCE) -> str:
    """What to do where no repository of that name is to be followed."""
    if name != DEFAULT_SOURCE:
        known = ", ".join(settings.followed) or "none"
        return f"there is no repository {name} in {settings.home}/orloj.toml; there: {known}"
    return (
        f"source.url is not set: put url under [source] in {settings.home}/orloj.toml,"
        " or set ORLOJ_SOURCE_URL"
    )


def _settings_digest(source: Source) -> str:
    """What decides the meaning of a commit: change it, and every file is read again."""
    url = git_address.plain(source.url)  # Another password makes no other repository.
    parts = [url, source.ref, source.path, manifest.parser_version(), *source.ignore]
    return kinds.digest(audit_entry.canonical(parts))
