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
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from reconciler.git import address as git_address
from reconciler.git import complaint as git_complaint
from reconciler.git import configuration as git_configuration
from reconciler.git import credentials as git_credentials
from reconciler.git.address import Address
from reconciler.git.credentials import Credentials
from runner.contract import errors

try:
    import git
except ImportError as error:  # GitPython looks for the program when it is imported.
    raise errors.Refused("git cannot be started: install it, or put it in PATH") from error

NONE: Final = Credentials()
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
    "GIT_GRAFT_FILE=/dev/null",
    "GIT_NO_LAZY_FETCH=1",
    "GIT_LITERAL_PATHSPECS=1",
    "GIT_SSH_VARIANT=ssh",
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
        return git_complaint.words(self.said)


class GitCommand:
    """Runs git for one address, with a home and a configuration of its own in `folder`.

    `folder`, which only we may enter, gets an empty directory for HOME, and a configuration
    file if the address needs one: for a password or a token, or to trust another user's
    repository. What `credentials` names is looked at when the remote is first asked, so that
    reading the mirror needs none of it. `more` are variables that the caller has checked.
    """

    def __init__(
        self,
        address: Address,
        folder: Path,
        timeout_s: float,
        file_bytes_max: int = FILE_BYTES_MAX,
        *,
        credentials: Credentials = NONE,
        more: tuple[str, ...] = (),
    ) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._folder = folder
        self._credentials = credentials
        home, self._file = folder / "home", folder / "config"
        with disk(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            home.mkdir(mode=0o700, exist_ok=True)
        self._ssh = git_credentials.ssh_command(NONE)
        self._configured = "/dev/null"
        secret = address.authorization or credentials.token_file
        redirects = "false" if secret else "initial"
        self._options = (*_OPTIONS, "-c", f"http.followRedirects={redirects}")
        self._environment = (
            *_ENVIRONMENT,
            f"HOME={home}",
            f"GIT_CEILING_DIRECTORIES={folder}",
            *more,
        )
        if not credentials.any:
            self._prepare()
        self._timed = ("/usr/bin/timeout", f"--kill-after={_GRACE_S}", str(timeout_s))
        # One endless answer must not fill the disk, nor leave a core there when it is cut.
        self._bounded = ("/usr/bin/prlimit", f"--fsize={file_bytes_max}", "--core=0")
        self._git = git.Git(str(home))

    def remote(
        self, *arguments: str, mirror: Path | None = None, into: Writable | None = None
    ) -> Outcome:
        """Run a git command that starts others: all are timed, and bounded if they write.

        SourceStalled when a file that the remote is opened with cannot be used.
        """
        if self._credentials.any:
            self._prepare()
        limits = (*self._timed, *self._bounded) if mirror else self._timed
        return self._execute((*limits, *self._argv(mirror, arguments)), None, into=into)

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
        found = git_complaint.complaint(outcome.said)
        message = f"{shown} cannot be read ({found.words}). {found.advice}"
        kind = errors.SourceStalled if found.stalls else errors.SourceWaiting
        return kind(found.reason, message)

    def seen_environment(self) -> bytes:
        """The environment that a child gets, as a child sees it: what the tests examine."""
        return self._execute(("/usr/bin/env",), self._timeout_s).output

    def _prepare(self) -> None:
        """Write what the remote is opened with, read anew, where git finds it."""
        try:
            self._ssh = git_credentials.ssh_command(self._credentials, self._address)
            content = git_configuration.text(
                self._address,
                git_credentials.authorization(self._credentials, self._address),
                git_credentials.certificates(self._credentials, self._address),
            )
        except errors.SourceStalled:
            # Of a token that may not be used any more nothing stays on the disk.
            git_configuration.keep_private(self._file, "")
            raise
        with disk(self._folder):
            git_configuration.keep_private(self._file, content)
        self._configured = str(self._file) if content else "/dev/null"

    def _argv(self, mirror: Path | None, arguments: tuple[str, ...]) -> tuple[str, ...]:
        where = (f"--git-dir={mirror}",) if mirror else ()
        return (_GIT, "--no-pager", *where, *self._options, *arguments)

    @property
    def _variables(self) -> tuple[str, ...]:
        return f"GIT_CONFIG_GLOBAL={self._configured}", f"GIT_SSH_COMMAND={self._ssh}"

    def _execute(
        self,
        argv: tuple[str, ...],
        kill_after_s: float | None,
        stream: int | None = None,
        into: Writable | None = None,
    ) -> Outcome:
        with disk(self._folder):
            status, output, said = self._git.execute(
                ["/usr/bin/env", "-i", *self._environment, *self._variables, *argv],
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
