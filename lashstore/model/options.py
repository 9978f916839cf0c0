"""
What a host may choose when it opens a store.
"""

from enum import StrEnum

from .record import Record


class DurabilityTier(StrEnum):
    """
    Whether a store's content outlives the process.
    """

    INLINE = "inline"
    DURABLE = "durable"


class BlobProfile(StrEnum):
    """
    How eagerly stored content is compressed.

    `LOW_LATENCY` never compresses, `BALANCED` compresses compressible
    content of 4096 bytes and more, `COMPACT` of 1024 bytes and more, harder.
    """

    LOW_LATENCY = "low_latency"
    BALANCED = "balanced"
    COMPACT = "compact"


class Synchronous(StrEnum):
    """
    What a power cut may lose on SQLite; a killed process loses nothing.

    `NORMAL`: the file stays consistent, the last commits may be gone.
    `FULL`: an acknowledged commit survives. See
    https://www.sqlite.org/pragma.html#pragma_synchronous.
    """

    NORMAL = "normal"
    FULL = "full"


class UnsafeFileSystem(StrEnum):
    """
    What opening a file does where a WAL is not safe: on network file
    systems, folders shared with a virtual machine's host, and FUSE.

    `REFUSE`: raise `UnsafeFileSystemError`. `ROLLBACK_JOURNAL`: keep the
    file in SQLite's rollback mode, which needs no shared memory but the file
    system's locks to work across hosts; readers and the writer then wait for
    each other. A single file that is mounted by itself is refused always.
    """

    REFUSE = "refuse"
    ROLLBACK_JOURNAL = "rollback_journal"


class GcPolicy(Record, frozen=True, kw_only=True):
    """
    When unreachable blobs are collected without being asked.

    `auto_run_every_commits`: after each head revision that is a multiple of
    it; None or 0 means never.
    """

    auto_run_every_commits: int | None = None


class StoreOptions(Record, frozen=True, kw_only=True):
    """
    Options of one store; every handle of a file should use the same.

    `wal_limit_bytes`: SQLite only; the WAL is checkpointed, under the write
    lock, once it is larger. `busy_timeout_ms`: how long a lock is waited for
    before `StoreBusyError`. `unsafe_file_system`: SQLite only.
    """

    blob_profile: BlobProfile = BlobProfile.BALANCED
    gc_policy: GcPolicy = GcPolicy()
    synchronous: Synchronous = Synchronous.FULL
    wal_limit_bytes: int = 16 * 2**20
    busy_timeout_ms: int = 15_000
    unsafe_file_system: UnsafeFileSystem = UnsafeFileSystem.REFUSE


class LeaseTimings(Record, frozen=True, kw_only=True):
    """
    How long a lease lives and how often its holder renews it.

    Raises:
        ValueError: Either is below 1 ms, or `ttl_ms` is less than three
            renewals long.
    """

    ttl_ms: int = 30_000
    renew_interval_ms: int = 10_000

    def __post_init__(self) -> None:
        if self.ttl_ms < 1:
            msg = f"ttl_ms must be at least 1, not {self.ttl_ms}"
            raise ValueError(msg)
        if self.renew_interval_ms < 1:
            msg = f"renew_interval_ms must be at least 1, not {self.renew_interval_ms}"
            raise ValueError(msg)
        if self.ttl_ms < 3 * self.renew_interval_ms:
            msg = (
                f"ttl_ms ({self.ttl_ms}) must be at least three times "
                f"renew_interval_ms ({self.renew_interval_ms})"
            )
            raise ValueError(msg)

    @classmethod
    def from_ttl(cls, ttl_ms: int) -> "LeaseTimings":
        """
        Renew three times a lease's life.

        Raises:
            ValueError: *ttl_ms* is below 3.
        """
        return cls(ttl_ms=ttl_ms, renew_interval_ms=ttl_ms // 3)
