"""What the settings of a repository open: address, commands, mirror, pointer and filters."""

from functools import cached_property
from pathlib import Path
from typing import Final

from reconciler.git import address as git_address
from reconciler.git import credentials
from reconciler.git.command import GitCommand
from reconciler.git.ignore import Ignore
from reconciler.git.mirror import Mirror
from reconciler.git.pointer import Pointer, Wanted
from runner.contract import errors
from runner.contract.source_settings import Source

_PLAIN: Final = Source()


class Opened:
    """The parts of a source, each made when first needed; SourceStalled if it cannot be."""

    def __init__(
        self,
        url: str,
        ref: str,
        path: str,
        folder: Path,
        timeout_s: float,
        *,
        more: Source = _PLAIN,
    ) -> None:
        self._url = url
        self._wanted = Wanted(ref, more.semver, more.commit)
        self._path = path
        self._timeout_s = timeout_s
        self._folder = folder.absolute()
        self._more = more

    # The settings, checked when they are first needed.

    @cached_property
    def _address(self) -> git_address.Address:
        return git_address.parse(self._url)

    @cached_property
    def _command(self) -> GitCommand:
        opened_with = credentials.of(self._more)
        return GitCommand(self._address, self._folder, self._timeout_s, credentials=opened_with)

    @cached_property
    def _mirror(self) -> Mirror:
        return Mirror(self._command, self._address.url, self._folder, self._timeout_s)

    @cached_property
    def _pointer(self) -> Pointer:
        return Pointer(self._command, self._address, self._wanted)

    @cached_property
    def _ignore(self) -> Ignore:
        try:
            return Ignore(self._more.ignore)
        except ValueError as error:
            raise errors.SourceStalled(
                "IgnoreInvalid", f"source.ignore: {git_address.plain(str(error))}"
            ) from None

    @cached_property
    def _prefix(self) -> str:
        path = git_address.folder_path(self._path)
        return f"{path}/" if path else ""

    @property
    def _only(self) -> tuple[str, ...]:
        """The folder as the last argument of git, which takes no empty one."""
        return (self._prefix,) if self._prefix else ()

    @property
    def _shown(self) -> str:
        return git_address.plain(self._address.url)
