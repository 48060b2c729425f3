"""The repository that `orloj init` makes: files, first commit, and the setting that names it.

Nothing is ever overwritten. The folder gets its name only when it is complete, so a failed
start leaves nothing behind to clean up.
"""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from runner.contract import errors, settings
from runner.contract.settings import Settings

SCHEMA_PATH: Final = ".orloj/schema.json"
GIT_TIMEOUT_S: Final = 60
_OF_THE_PERSON: Final = (
    *("HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"),
    *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"),
)
"""The variables by which git knows who commits."""
_DOCUMENTS: Final = "documents"
_TEMPLATES: Final = "templates"
_BLUEPRINTS: Final = "blueprints"
_RENAMED: Final = {"gitignore": ".gitignore", "readme.md": "README.md"}


@dataclass(frozen=True, slots=True)
class Made:
    """What was made. `source_set` says whether the home now reconciles the repository."""

    repository: Path
    files: tuple[str, ...]
    source_set: bool
    document: Path | None


def templates() -> list[str]:
    """The names of the templates for regulated work."""
    return sorted(place.name for place in (_data() / _TEMPLATES).iterdir())


def blueprints() -> list[str]:
    """The names of the blueprints: systems of agents to begin with."""
    return sorted(place.name for place in (_data() / _BLUEPRINTS).iterdir())


def make(
    folder: Path,
    home: Settings,
    schema: str,
    template: str | None = None,
    blueprint: str | None = None,
) -> Made:
    """Make a repository at `folder` and point the home at it; Refused, and nothing is left.

    `schema` is the JSON Schema of the manifests, for editors. A `template` is one of
    `templates()`, a `blueprint` one of `blueprints()`; without either it is an agent to try
    things with.
    """
    source = _data()
    if template is not None:
        source = _chosen(_TEMPLATES, "template", template, templates())
    elif blueprint is not None:
        source = _chosen(_BLUEPRINTS, "blueprint", blueprint, blueprints())
    folder = folder.absolute()
    if folder.is_symlink() or (folder.exists() and _in_use(folder)):
        raise errors.Refused(f"{folder} is there already and not empty; choose another name")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".orloj-init-", dir=folder.parent) as draft:
            root = Path(draft) / folder.name
            files = _write(root, source, schema)
            _commit(root)
            root.replace(folder)
    except OSError as error:
        raise errors.Refused(f"cannot make {folder}: {error.strerror}") from error
    return Made(folder, files, _set_source(folder, home), _put_document(home.files, source))


def _chosen(folder: str, what: str, name: str, known: list[str]) -> Traversable:
    if name not in known:
        raise errors.Refused(f"there is no {what} {name!r}; there are: {', '.join(known)}")
    return _data() / folder / name


def _data() -> Traversable:
    return resources.files("reconciler") / "new_project"


def _in_use(folder: Path) -> bool:
    return not folder.is_dir() or any(folder.iterdir())


def _write(root: Path, source: Traversable, schema: str) -> tuple[str, ...]:
    texts = {SCHEMA_PATH: schema}
    for place in (_data() / "gitignore", *source.iterdir()):
        if place.is_file():
            name = _RENAMED.get(place.name, place.name)
            texts[name] = place.read_text(encoding="utf-8")
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tuple(sorted(texts))


def _commit(root: Path) -> None:
    """The first commit, by the person's own name if git knows one."""
    _git(root, "init", "--quiet", "--initial-branch=main")
    identity: list[str] = []
    for field, value in (("user.name", "orloj"), ("user.email", "orloj@localhost")):
        if not _git(root, "config", "--get", field, check=False):
            identity += ["-c", f"{field}={value}"]
    _git(root, "add", "--all")
    _git(root, *identity, "commit", "--quiet", "--message=Declare the first agent")


def _git(root: Path, *arguments: str, check: bool = True) -> str:
    program = shutil.which("git")
    if program is None:
        raise errors.Refused("git is not installed; install it, then run orloj init again")
    try:
        done = subprocess.run(  # noqa: S603 - a fixed argv; nothing in it comes from outside.
            [program, "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            # Inside a hook GIT_DIR names that repository: we would commit to somebody else's.
            env=settings.process_environment(*_OF_THE_PERSON),
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise errors.Refused(f"git {arguments[0]} took too long") from error
    if check and done.returncode != 0:
        raise errors.Refused(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _set_source(folder: Path, home: Settings) -> bool:
    """Name the repository in orloj.toml, unless a repository or a [source] is there."""
    path = home.home / settings.FILE_NAME
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if home.source.url or "[source]" in text:
        return False
    home.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    table = f"[source]\nurl = {json.dumps(str(folder), ensure_ascii=False)}\n"
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(f"{text.rstrip()}\n\n{table}" if text.strip() else table, "utf-8")
    unfinished.replace(path)
    return True


def _put_document(files: Path, source: Traversable) -> Path | None:
    """A document for the first task to find, where there are none and one is needed."""
    if not (source / _DOCUMENTS).is_dir():
        return None
    folder = files / _DOCUMENTS
    if folder.exists():
        return None
    folder.mkdir(mode=0o700, parents=True)
    (document,) = (source / _DOCUMENTS).iterdir()
    path = folder / document.name
    path.write_text(document.read_text(encoding="utf-8"), encoding="utf-8")
    return path
