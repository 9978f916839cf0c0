"""
What a host may choose when it opens a store.
"""

from enum import StrEnum

from lashstore.ciphers import ContentCipher
from lashstore.errors import InvalidArgumentError

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


_LEAST = {
    "wal_limit_bytes": 0,
    "busy_timeout_ms": 0,
    "max_blob_bytes": 1,
    "max_record_bytes": 1,
    "max_commit_nodes": 1,
}


class StoreOptions(Record, frozen=True, kw_only=True):
    """
    Options of one store; every handle of a file should use the same.

    `wal_limit_bytes`: SQLite only; the WAL is checkpointed, under the write
    lock, once it is larger. `busy_timeout_ms`: how long a lock is waited for
    before `StoreBusyError`. `unsafe_file_system`: SQLite only.

    Limits, above which a session's writes are `InvalidArgumentError`s before
    the database is touched: `max_blob_bytes` for one content before it is
    compressed, a snapshot of a checkpoint among them; `max_record_bytes` for
    the JSON of one node, turn input or batch, of a config and of a meta;
    `max_commit_nodes` for the nodes of one commit. What is stored already is
    read whatever its size.

    `cipher`: seals what a session stores; see `ContentCipher`. None: plain.
    Only sessions have one: the deployment's stores refuse it.

    Raises:
        ValueError: A number is none or negative, a limit is below 1, or
            `synchronous` is none.
    """

    blob_profile: BlobProfile = BlobProfile.BALANCED
    gc_policy: GcPolicy = GcPolicy()
    checkpoint_retention: CheckpointRetention = CheckpointRetention()
    synchronous: Synchronous = Synchronous.FULL
    wal_limit_bytes: int = 16 * 2**20
    busy_timeout_ms: int = 15_000
    unsafe_file_system: UnsafeFileSystem = UnsafeFileSystem.REFUSE
    max_blob_bytes: int = 256 * 2**20
    max_record_bytes: int = 64 * 2**20
    max_commit_nodes: int = 100_000
    cipher: ContentCipher | None = None

    def __post_init__(self) -> None:
        # Some stand in PRAGMAs, which take no parameters.
        Synchronous(self.synchronous)
        for name, least in _LEAST.items():
            number: object = getattr(self, name)
            if type(number) is not int or number < least:
                msg = f"{name} must be a whole number from {least} on, not {number!r}"
                raise InvalidArgumentError(msg)

    def refuse_blob(self, raw_bytes: int) -> None:
        """
        Raises:
            InvalidArgumentError: A content of *raw_bytes* is too large.
        """
        self._refuse("a content's bytes", raw_bytes, "max_blob_bytes")

    def refuse_record(self, what: str, text: str) -> None:
        """
        Raises:
            InvalidArgumentError: The JSON *text* is too large.
        """
        # Encoding it costs; no character takes more than four bytes.
        if 4 * len(text) > self.max_record_bytes:
            self._refuse(f"the bytes of {what}", len(text.encode()), "max_record_bytes")

    def refuse_nodes(self, count: int) -> None:
        """
        Raises:
            InvalidArgumentError: A commit of *count* nodes is too large.
        """
        self._refuse("a commit's nodes", count, "max_commit_nodes")

    def _refuse(self, what: str, found: int, name: str) -> None:
        limit: int = getattr(self, name)
        if found > limit:
            msg = f"{what} are {found}, over StoreOptions.{name} ({limit})"
            raise InvalidArgumentError(msg)


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
