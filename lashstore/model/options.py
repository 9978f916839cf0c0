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


class GcPolicy(Record, frozen=True, kw_only=True):
    """
    When unreachable blobs are collected without being asked.

    `auto_run_every_commits`: after each head revision that is a multiple of
    it; None or 0 means never.
    """

    auto_run_every_commits: int | None = None


class CheckpointRetention(Record, frozen=True, kw_only=True):
    """
    Which past checkpoints a session keeps.

    Commits let go of the others, a number at a time: `get_checkpoint` then
    returns None for them, and their space is used anew. The head's is always
    kept, and so is what an artifact or an agent frame of the head names.
    Usage, turn results and nodes are history, and stay.

    `max_count`: how many are kept, the head's included; up to seven more, but
    never twice as many, may still be there. None: any number.
    `max_age_ms`: how old one may be, counted by the clock from the last
    commit that had it; eight commits later at the latest it is gone. None: of
    any age. What either forbids goes.

    Raises:
        ValueError: `max_count` is below 1, or `max_age_ms` below 0.
    """

    max_count: int | None = 8
    max_age_ms: int | None = None

    def __post_init__(self) -> None:
        if self.max_count is not None and self.max_count < 1:
            msg = f"max_count must be at least 1, not {self.max_count}"
            raise ValueError(msg)
        if self.max_age_ms is not None and self.max_age_ms < 0:
            msg = f"max_age_ms must not be negative, as {self.max_age_ms} is"
            raise ValueError(msg)


class StoreOptions(Record, frozen=True, kw_only=True):
    """
    Options of one store; every handle of a file should use the same.

    `wal_limit_bytes`: SQLite only; the WAL is checkpointed, under the write
    lock, once it is larger. `busy_timeout_ms`: how long a lock is waited for
    before `StoreBusyError`.
    """

    blob_profile: BlobProfile = BlobProfile.BALANCED
    gc_policy: GcPolicy = GcPolicy()
    checkpoint_retention: CheckpointRetention = CheckpointRetention()
    synchronous: Synchronous = Synchronous.FULL
    wal_limit_bytes: int = 16 * 2**20
    busy_timeout_ms: int = 15_000


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
