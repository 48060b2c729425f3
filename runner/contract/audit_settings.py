"""Settings of the audit log: `[audit]` in orloj.toml."""

from typing import Final

from pydantic import Field

from runner.contract.settings_table import Table

KEY_FILE: Final = "audit.key"


class Audit(Table):
    """Who signs checkpoints, and where they are published."""

    key: str = ""
    """File with the signing key; relative to the home. Empty: `audit.key` among the
    credentials that systemd hands over, else in the home, where it is made."""
    remote: str = ""
    """Git address that checkpoints are pushed to. Empty: that of `[source]`."""
    username: str = "git"
    """User name that goes with the token over https."""
    token_file: str = ""
    """File with the token for `remote`. What opens `[source]` opens no other address."""
    ca_file: str = ""
    """File of certificates to trust for https instead of the system's."""
    ssh_key_file: str = ""
    """Private key for ssh: a deploy key of its own, which may write nothing but refs/audit."""
    known_hosts_file: str = ""
    """Host keys to trust for ssh. Empty: the service user's own known_hosts."""
    publish: bool = True
    """Whether checkpoints are pushed at all."""
    publish_interval_s: float = Field(default=300.0, ge=1.0, le=86_400.0)
    """Seconds after which new entries are published at the latest."""
    heartbeat_s: float = Field(default=3_600.0, ge=1.0, le=604_800.0)
    """Seconds after which a checkpoint is published although nothing happened."""
    policy: str = ""
    """File (c2sp.org/tlog-policy) that says whose cosignatures make a quorum. Empty: none."""
    ml_dsa: bool = True
    """Whether published checkpoints carry the log's ML-DSA-44 signature beside Ed25519."""
