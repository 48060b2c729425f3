"""Who holds a task, and until when. Pure: the rules that the queue's statements carry out.

    free ──claim──> held (fence + 1) ──renew──> held
                      ├──finish / release──> free
                      └──expired──> free, by the rescuer

The fence grows at every claim and never falls. Whoever writes names the fence of its
claim, so a late holder's write changes nothing, whatever its clock says. Times are
microseconds on the clock that leases end by: the boot clock of one host, or that of the
database server where several hosts write.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease of one task; `holder` is None while nobody holds it."""

    fence: int = 0
    holder: str | None = None
    until_us: int = 0


def claim(lease: Lease, holder: str, now_us: int, ttl_us: int) -> Lease | None:
    """The lease as its new holder has it; None when somebody holds it."""
    if lease.holder is not None:
        return None
    return Lease(lease.fence + 1, holder, now_us + ttl_us)


def writable(lease: Lease, fence: int) -> bool:
    """Whether whoever claimed with this fence may still write."""
    return lease.holder is not None and lease.fence == fence


def renew(lease: Lease, fence: int, now_us: int, ttl_us: int) -> Lease | None:
    """The lease with a new end; None when it is no longer this holder's.

    Earlier than the old end after the clock was set back: by that one, a holder that died
    would keep its tasks for as long as the clock has to catch up.
    """
    if not writable(lease, fence):
        return None
    return replace(lease, until_us=now_us + ttl_us)


def release(lease: Lease, fence: int) -> Lease | None:
    """The lease in nobody's hands, its fence kept; None when it is not this holder's."""
    if not writable(lease, fence):
        return None
    return Lease(lease.fence)


def expired(lease: Lease, now_us: int) -> bool:
    """Whether the rescuer may take it back."""
    return lease.holder is not None and now_us >= lease.until_us


def trusted_until(renewal_started_us: int, ttl_us: int) -> int:
    """When the holder must stop acting, even if nobody tells it anything.

    Counted from the start of the renewal, so that a slow answer cannot stretch the lease,
    and a fifth of the lease earlier, so that the holder stops before the rescuer starts.
    Source: River, internal/leadership/doc.go, "Trust Window".
    """
    assert ttl_us > 0
    return renewal_started_us + ttl_us - ttl_us // 5
