"""The governing commits as Git bundles: whoever has one can check out what ruled at an entry.

    commits that entries name ──> those a mirror has ──> all they stand on ──> pack ──> bundle

repo.bundle is of the repository under `[source]`, repo-NAME.bundle of another. Each commit is
`refs/orloj/audit/<commit>` there, the one named last is HEAD. The pack is made anew from the
sorted names of its objects, by one thread and with nothing of the mirror's packs, so that it
is the same bytes however the mirror is packed. A history in which a Secret's value stands is
left out, and repositories.txt says so: a bundle would carry the value.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler.evidence.commits import Commits
from reconciler.evidence.part import Scope
from runner.contract import audit
from runner.contract.audit_entry import NO_COMMIT
from runner.contract.settings import DEFAULT_SOURCE

LISTING: Final = "repositories.txt"
_REF: Final = "refs/orloj/audit"


class Repositories:
    """Remembers which commits the entries name, and packs them."""

    def __init__(self, scope: Scope, mirrors: dict[str, Commits]) -> None:
        self._folder, self._mirrors = scope.folder, mirrors
        self._named: dict[str, int] = {}

    def take(self, entry: audit.Stored) -> None:
        """Take down the commit that an entry names, and that it was named now."""
        commit = entry.fields.get("commit")
        if isinstance(commit, str) and commit != NO_COMMIT:
            self._named[commit] = entry.seq

    def end(self) -> None:
        """Write a bundle for each mirror that has some of them, and a listing."""
        lines = list(self._bundled()) if self._named else ["No entry names a commit."]
        text = "".join(f"{line}\n" for line in lines)
        (self._folder / LISTING).write_text(text, encoding="utf-8")

    def _bundled(self) -> Iterator[str]:
        missing = set(self._named)
        for name, mirror in sorted(self._mirrors.items()):
            held = mirror.held(sorted(self._named))
            if not held:
                continue
            missing -= set(held)
            file = "repo.bundle" if name == DEFAULT_SOURCE else f"repo-{name}.bundle"
            yield self._bundle(mirror, held, file)
        for commit in sorted(missing):
            yield f"{commit}  in no repository here"

    def _bundle(self, mirror: Commits, held: list[str], file: str) -> str:
        objects = mirror.objects(held)
        if secret := mirror.secret_in(objects):
            return f"{file}  left out: the value of a Secret stands in its history, {secret}"
        newest = max(held, key=lambda commit: (self._named[commit], commit))
        refs = [f"{newest} HEAD", *(f"{commit} {_REF}/{commit}" for commit in held)]
        with (self._folder / file).open("wb") as target:
            target.write(_header(newest, refs).encode("ascii"))
            mirror.pack(objects, target)
        return f"{file}  {len(held)} commits, HEAD is {newest}"


def mirrors(home: Path, scratch: Path) -> dict[str, Commits]:
    """The mirrors of a home, by the names of their repositories."""
    folders = {DEFAULT_SOURCE: home / "git"}
    if (home / "mirrors").is_dir():
        folders |= {folder.name: folder for folder in (home / "mirrors").iterdir()}
    return {
        name: Commits(folder / "mirror.git", scratch / name)
        for name, folder in folders.items()
        if (folder / "mirror.git" / "HEAD").is_file()
    }


def _header(commit: str, refs: list[str]) -> str:
    """What stands before the pack. Source: Git's gitformat-bundle."""
    first = "# v2 git bundle\n"
    if len(commit) == 64:
        first = "# v3 git bundle\n@object-format=sha256\n"
    return first + "".join(f"{ref}\n" for ref in refs) + "\n"
