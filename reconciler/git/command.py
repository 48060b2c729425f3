"""The one place where git is started: through GitPython's command interface, and no more.

GitPython's objects are not used: they are 190 times slower on a diff and have a record of
options that slip past their guards. Its `execute` copies our environment into the child,
so the child is `env -i`, which builds one from nothing: no token, no proxy, no `GIT_*` of
whoever started us is seen by git, by ssh or by a hook.

A command that talks to a remote starts others (ssh, upload-pack), so coreutils' `timeout`
stops the whole process group. A command that reads the mirror is one process, and killing
that one needs no help.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from reconciler.git import address as git_address
from runner.contract import errors

try:
    import git
except ImportError as error:  # GitPython looks for the program when it is imported.
    raise errors.Refused("git cannot be started: install it, or put it in PATH") from error

FILE_BYTES_MAX: Final = 2 * 1024**3
"""The largest file that git may write, which is the pack of a whole repository."""
_TIMED_OUT: Final = 124
_SEARCH: Final = "/usr/local/bin:/usr/bin:/bin"
_GIT: Final = shutil.which("git", path=_SEARCH) or "/usr/bin/git"
_GRACE_S: Final = 5
_CHUNK_BYTES: Final = 1_048_576
_ENVIRONMENT: Final = (
    f"PATH={_SEARCH}",
    "LC_ALL=C",
    "GIT_CONFIG_NOSYSTEM=1",
    "GIT_TERMINAL_PROMPT=0",
    "GIT_ASKPASS=/bin/false",
    "SSH_ASKPASS=/bin/false",
    "GIT_ALLOW_PROTOCOL=https:ssh:file",
    "GIT_OPTIONAL_LOCKS=0",
    "GIT_NO_REPLACE_OBJECTS=1",
    "GIT_NO_LAZY_FETCH=1",
    "GIT_LITERAL_PATHSPECS=1",
    "GIT_SSH_VARIANT=ssh",
    "GIT_SSH_COMMAND=ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes"
    " -o IdentitiesOnly=yes -o ClearAllForwardings=yes",
)
_CONFIGURATION: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.allow=never",
    "protocol.https.allow=always",
    "protocol.ssh.allow=always",
    "protocol.file.allow=always",
    "transfer.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "gc.autoDetach=false",
    "maintenance.auto=false",
    "credential.helper=",
    "log.showSignature=false",
)
_OPTIONS: Final = tuple(part for pair in _CONFIGURATION for part in ("-c", pair))


_SIGNS: Final = (
    ("AuthenticationFailed", "Host key verification failed"),
    ("AuthenticationFailed", "Authentication failed"),
    ("AuthenticationFailed", "could not read Username"),
    ("AuthenticationFailed", "could not read Password"),
    ("AuthenticationFailed", "Permission denied (publickey"),
    ("AuthenticationFailed", "returned error: 401"),
    ("AuthenticationFailed", "returned error: 403"),
    ("ContentRefused", "fsck error"),
    ("TooLarge", "died of signal 25"),
    ("CommitGone", "not our ref"),
    ("CommitGone", "unadvertised object"),
)
"""The reason that a sign in git's complaint stands for. 25 is SIGXFSZ: a file too large."""
_ADVICE: Final = {
    "AuthenticationFailed": "Check the key, the known_hosts file or the token of the service.",
    "ContentRefused": "It holds an object that git calls malformed: repair the repository.",
    "TooLarge": "It is larger than a mirror may be: keep the manifests in a smaller one.",
    "CommitGone": "Its branch was rewritten meanwhile; the next look finds the new commit.",
    "RemoteUnreachable": "Check source.url, the network, and that this user may read it.",
}
_STALLED: Final = frozenset({"AuthenticationFailed", "ContentRefused", "TooLarge"})


class Writable(Protocol):
    """Takes output as it comes."""

    def write(self, chunk: bytes, /) -> int:
        """Take some bytes; how many were taken, which is all of them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command answered. `said` is its standard error as it came: never show it."""

    status: int
    output: bytes
    said: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        """Whether git said that it did what was asked."""
        return self.status == 0

    @property
    def timed_out(self) -> bool:
        """Whether it was stopped because it took too long."""
        return self.status in (_TIMED_OUT, 128 + 9, -9)

    @property
    def words(self) -> str:
        """The line of git's complaint that says why, printable and without passwords."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith(("fatal: ", "error: ", "ERROR: "))]
        # Where ssh failed, git can only say that it did, and ssh has said why before.
        useful = [line for line in fatal if "Could not read from remote" not in line]
        why = (useful or lines or ["no answer"])[0]
        return git_address.plain(why.partition(": ")[2] if why in fatal else why).rstrip(".")


class GitCommand:
    """Runs git for one address, with a home and a configuration of its own in `folder`.

    `folder`, which only we may enter, gets an empty directory for HOME, and a configuration
    file if the address needs one: for a password, or to trust another user's repository.
    `more` are variables that the caller has checked.
    """

    def __init__(
        self,
        address: git_address.Address,
        folder: Path,
        timeout_s: float,
        file_bytes_max: int = FILE_BYTES_MAX,
        more: tuple[str, ...] = (),
    ) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._folder = folder
        home, file = folder / "home", folder / "config"
        configuration = _configuration(address)
        with disk(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            home.mkdir(mode=0o700, exist_ok=True)
            _keep_private(file, configuration)
        redirects = "false" if address.authorization else "initial"
        self._options = (*_OPTIONS, "-c", f"http.followRedirects={redirects}")
        self._environment = (
            *_ENVIRONMENT,
            f"HOME={home}",
            f"GIT_CEILING_DIRECTORIES={folder}",
            f"GIT_CONFIG_GLOBAL={file if configuration else '/dev/null'}",
            *more,
        )
        self._timed = ("/usr/bin/timeout", f"--kill-after={_GRACE_S}", str(timeout_s))
        # One endless answer must not fill the disk, nor leave a core there when it is cut.
        self._bounded = ("/usr/bin/prlimit", f"--fsize={file_bytes_max}", "--core=0")
        self._git = git.Git(str(home))

    def remote(self, *arguments: str, mirror: Path | None = None) -> Outcome:
        """Run a git command that starts others: all are timed, and bounded if they write."""
        limits = (*self._timed, *self._bounded) if mirror else self._timed
        return self._execute((*limits, *self._argv(mirror, arguments)), None)

    def local(
        self,
        *arguments: str,
        mirror: Path | None,
        given: bytes = b"",
        into: Writable | None = None,
    ) -> Outcome:
        """Run a git command that only touches the mirror; `given` is its standard input.

        What it prints goes `into` a writer as it comes, or becomes `Outcome.output`.
        """
        argv = self._argv(mirror, arguments)
        if not given:
            return self._execute(argv, self._timeout_s)
        # A file and not a pipe: nobody has to write while the answer is being read.
        with disk(self._folder), tempfile.TemporaryFile(dir=self._folder) as stream:
            stream.write(given)
            stream.seek(0)
            return self._execute(argv, self._timeout_s, stream.fileno(), into)

    def refusal(self, outcome: Outcome) -> errors.SourceError:
        """The error for a remote that did not do what was asked, saying what to do."""
        shown = git_address.plain(self._address.url)
        if outcome.timed_out:
            return errors.SourceWaiting(
                "RemoteUnreachable",
                f"{shown} did not finish within {self._timeout_s:g} s. Check the network, or "
                "raise source.timeout_s if it is large.",
            )
        reason = next(
            (name for name, sign in _SIGNS if sign in outcome.said), "RemoteUnreachable"
        )
        message = f"{shown} cannot be read ({outcome.words}). {_ADVICE[reason]}"
        if reason in _STALLED:
            return errors.SourceStalled(reason, message)
        return errors.SourceWaiting(reason, message)

    def seen_environment(self) -> bytes:
        """The environment that a child gets, as a child sees it: what the tests examine."""
        return self._execute(("/usr/bin/env",), self._timeout_s).output

    def _argv(self, mirror: Path | None, arguments: tuple[str, ...]) -> tuple[str, ...]:
        where = (f"--git-dir={mirror}",) if mirror else ()
        return (_GIT, "--no-pager", *where, *self._options, *arguments)

    def _execute(
        self,
        argv: tuple[str, ...],
        kill_after_s: float | None,
        stream: int | None = None,
        into: Writable | None = None,
    ) -> Outcome:
        with disk(self._folder):
            status, output, said = self._git.execute(
                ["/usr/bin/env", "-i", *self._environment, *argv],
                istream=stream,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                kill_after_timeout=kill_after_s,
                output_stream=into,
                max_chunk_size=_CHUNK_BYTES,
            )
        return Outcome(status, output, said)


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[None]:
    """Turn a failure of the machine under us (disk full, no right, no process) into waiting."""
    try:
        yield
    except (OSError, git.exc.GitCommandNotFound) as error:
        words = getattr(error, "strerror", None) or "git cannot be started"
        raise errors.SourceWaiting(
            "FolderUnusable", f"the mirror's folder {folder} cannot be used: {words}"
        ) from error


def _configuration(address: git_address.Address) -> str:
    """A configuration file for git: the password's header, or the repositories to trust."""
    if address.authorization and address.base:
        base, header = _quoted(address.base), _quoted(address.authorization)
        return f"[http {base}]\n\textraHeader = {header}\n"
    if address.local is None:
        return ""
    # The person who wrote the URL vouches for the folder. `-c safe.directory` would not do:
    # git drops it before it starts the upload-pack that serves a repository on this machine.
    named = str(address.local).rstrip("/")
    folders = dict.fromkeys(
        f"{folder}{suffix}"
        for folder in (named, os.path.realpath(named))
        for suffix in ("", "/.git", ".git", ".git/.git")
    )
    return "[safe]\n" + "".join(f"\tdirectory = {_quoted(folder)}\n" for folder in folders)


def _quoted(value: str) -> str:
    """A value as git's configuration quotes it; line breaks were refused with the address."""
    assert value.isprintable()
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _keep_private(file: Path, text: str) -> None:
    """Make a file that only we can read hold this text; no text, no file."""
    if not text:
        # A password that was taken out of the settings must not stay on the disk.
        file.unlink(missing_ok=True)
        return
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".config-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(name).replace(file)
