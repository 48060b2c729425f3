"""The settings of a repository that is followed: where it is, whom to trust, what it may do."""

from typing import Final, Literal

from pydantic import Field, field_validator

from runner.contract import cron, zones
from runner.contract.kinds.base import seconds
from runner.contract.settings_table import Table

SOURCE_NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"


FREEZE_S_MAX: Final = 366 * 86_400.0


class Freeze(Table):
    """A window of time in which nothing is applied, or outside of which nothing is."""

    kind: Literal["deny", "allow"] = "deny"
    """`deny`: nothing is applied inside the window. `allow`: nothing outside all of these."""
    cron: str
    """When the window opens, five fields as in a TaskSchedule."""
    duration: str
    """How long it stays open: `60h`, `30m`."""
    time_zone: str = "UTC"
    """Zone of the cron line, by its IANA name."""

    @property
    def length_us(self) -> int:
        """How long it stays open, in microseconds: time that passes, also over a change."""
        return int(seconds(self.duration) * 1_000_000)

    @field_validator("cron")
    @classmethod
    def _cron(cls, text: str) -> str:
        cron.parse(text)
        return text

    @field_validator("duration")
    @classmethod
    def _duration(cls, text: str) -> str:
        if not 1 <= seconds(text) <= FREEZE_S_MAX:
            raise ValueError(f"{text} is no length of a window: write 1s to 8784h")
        return text

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        zones.zone(name)
        return name


class Source(Table):
    """A repository that declares what should run."""

    url: str = ""
    """Local path, `file://`, `https://` or `ssh://` URL. Empty: nothing is reconciled."""
    ref: str = "main"
    """Branch name, or a full ref: `refs/heads/main`, `refs/tags/v1`."""
    semver: str = ""
    """Range of versions, `>=1.2, <2`: the newest tag in it is followed instead of `ref`."""
    commit: str = ""
    """A whole commit hash to stay at, instead of `ref` and `semver`."""
    path: str = ""
    """Folder inside the repository that holds the manifests. Empty: the whole repository."""
    ignore: list[str] = []
    """Patterns of paths that are no manifests, as in a `.gitignore`."""
    interval_s: float = Field(default=60.0, ge=1.0, le=86_400.0)
    """Seconds between polls. A local repository is watched too; the poll is its net."""
    timeout_s: float = Field(default=60.0, ge=1.0, le=3_600.0)
    """Seconds a fetch may take. Longer than a slow clone, shorter than a person's patience."""
    username: str = "git"
    """User name that goes with the token over https."""
    token_file: str = ""
    """File that holds the token or password for https."""
    ca_file: str = ""
    """File of certificates to trust for https instead of the system's."""
    ssh_key_file: str = ""
    """Private key for ssh."""
    known_hosts_file: str = ""
    """Host keys to trust for ssh. Empty: the service user's own known_hosts."""
    verify: Literal["off", "head", "range"] = "off"
    """Whose signature a commit needs: nobody's, on the newest, or on every new one."""
    allowed_signers: str = ""
    """File of SSH keys to trust, as `ssh-keygen` reads it."""
    openpgp_keys: str = ""
    """File of OpenPGP public keys to trust."""
    revoked_signers: str = ""
    """File of SSH keys that count no more: public keys, or what `ssh-keygen -k` makes."""
    signers_path: str = ""
    """Path in the repository of such a file, read at the commit applied, not at the new one."""
    non_fast_forward: Literal["allow", "pause", "deny"] = "allow"
    """What a rewritten history does: it is followed, waits for a person, or is refused."""
    approval: Literal["never", "widening", "deletion", "always"] = "never"
    """Which plans wait until a person has approved their id."""
    prune_max: int = Field(default=0, ge=0)
    """Most resources that one commit may delete unnamed. 0: no limit by number."""
    prune_max_percent: int = Field(default=50, ge=0, le=100)
    """Most of a repository's resources that one commit may delete unnamed, once over ten."""
    on_drift: Literal["report", "heal"] = "report"
    """Whether recorded state that somebody changed is only shown, or set right."""
    drift_interval_s: float = Field(default=300.0, ge=10.0, le=86_400.0)
    """Seconds between two looks for drift."""
    freeze: list[Freeze] = []
    """Windows in which nothing is applied."""
