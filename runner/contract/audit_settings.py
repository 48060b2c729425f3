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
    publish: bool = True
    """Whether checkpoints are pushed at all."""
    publish_interval_s: float = Field(default=300.0, ge=1.0, le=86_400.0)
    """Seconds after which new entries are published at the latest."""
    heartbeat_s: float = Field(default=3_600.0, ge=1.0, le=604_800.0)
    """Seconds after which a checkpoint is published although nothing happened."""
    policy: str = ""
    """File (c2sp.org/tlog-policy) that says whose cosignatures make a quorum. Empty: none."""
