"""
Value types: frozen, keyword-only, compared by value, and their JSON form.
"""

import inspect
import json

import msgspec
import pytest

import lashstore
from lashstore import (
    ActivePath,
    ActiveTurnIngress,
    ActiveTurnMode,
    ArtifactKind,
    AttachmentIntent,
    AttachmentManifestEntry,
    AttachmentMeta,
    AttachmentRef,
    BlobDescriptor,
    BlobProfile,
    CancelResult,
    CheckpointKind,
    ChildRelation,
    DeliveryPolicy,
    DurabilityTier,
    FullGraph,
    GcPolicy,
    GcReport,
    GraphAppend,
    GraphReplace,
    GraphUnchanged,
    HydratedCheckpoint,
    InputAlreadyCancelled,
    InputAlreadyClaimed,
    InputAlreadyCompleted,
    InputCancelled,
    InputIdTarget,
    InputNotFound,
    InvalidArgumentError,
    LeaseAcquired,
    LeaseBusy,
    LeaseOwnerIdentity,
    LeaseTimings,
    LocalProcessLiveness,
    ManualClock,
    MergeGroup,
    MergeNever,
    MergePayloadDefault,
    NextTurnIngress,
    NextTurnMode,
    OpaqueLiveness,
    PendingTurnInput,
    PersistedSession,
    ProcessWakePayload,
    QueuedWorkBatch,
    QueuedWorkBoundary,
    QueuedWorkClaim,
    QueuedWorkClass,
    QueuedWorkCompletion,
    QueuedWorkItem,
    ReclamationReport,
    RootRelation,
    RuntimeCommit,
    RuntimeCommitResult,
    SessionCheckpoint,
    SessionCommandPayload,
    SessionExecutionLease,
    SessionGraph,
    SessionHeadMeta,
    SessionMeta,
    SessionNode,
    SessionPickerInfo,
    SlotPolicy,
    SourceKeyTarget,
    StorageHint,
    StoredCheckpoint,
    StoreOptions,
    Synchronous,
    SystemClock,
    TokenLedgerEntry,
    TokenUsage,
    TurnCommitStamp,
    TurnInputClaim,
    TurnInputClaimDiagnostics,
    TurnInputCompletion,
    TurnInputState,
    TurnWorkPayload,
    VacuumReport,
)
from lashstore.codec import from_json, to_json
from lashstore.testing import (
    active_turn_draft,
    command_draft,
    make_owner,
    make_usage,
    make_wake,
    message_chain,
    message_node,
    next_turn_draft,
    turn_work_draft,
)

REF = "0" * 64
LOCAL = LeaseOwnerIdentity(
    owner_id="o",
    incarnation_id="i",
    liveness=LocalProcessLiveness(
        host_id="h", boot_id="b", pid_namespace="4026531836", pid=7, process_start="99"
    ),
)
LEASE = SessionExecutionLease(
    session_id="root",
    owner=LOCAL,
    lease_token="token",
    fencing_token=3,
    claimed_at_ms=1000,
    expires_at_ms=2**63 - 1,
)
GRAPH = SessionGraph(nodes=message_chain("m1", "m2"), leaf_node_id="m2")
MANIFEST = SessionCheckpoint(
    turn_state={"n": 1},
    tool_state_ref=REF,
    plugin_snapshot_ref=REF,
    plugin_snapshot_revision=0,
    execution_state_ref=REF,
)
BATCH = QueuedWorkBatch(
    batch_id="qwb:1",
    session_id="root",
    enqueue_seq=7,
    source_key=None,
    delivery_policy=DeliveryPolicy.AFTER_CURRENT_TURN_COMMIT,
    slot_policy=SlotPolicy.JOIN,
    merge_key=MergeGroup(group="g"),
    available_at_ms=0,
    enqueued_at_ms=5,
    items=(
        QueuedWorkItem(item_id="a", payload=TurnWorkPayload(body=[1, None])),
        QueuedWorkItem(item_id="b", payload=ProcessWakePayload(wake=make_wake())),
    ),
)
INPUT = PendingTurnInput(
    input_id="ti:1",
    session_id="root",
    enqueue_seq=8,
    source_key="k",
    ingress=ActiveTurnIngress(
        turn_id="t", min_boundary=CheckpointKind.BEFORE_COMPLETION
    ),
    state=TurnInputState.ACCEPTED,
    enqueued_at_ms=5,
    input={"items": [{"type": "text", "text": "é"}]},
)
QUEUE_CLAIM = QueuedWorkClaim(
    session_id="root",
    claim_id="c",
    owner=LOCAL,
    lease_token="t",
    fencing_token=1,
    claimed_at_ms=1,
    expires_at_ms=2,
    batches=(BATCH,),
)
INPUT_CLAIM = TurnInputClaim(
    session_id="root",
    claim_id="c",
    owner=make_owner(),
    lease_token="t",
    fencing_token=1,
    claimed_at_ms=1,
    expires_at_ms=2,
    mode=ActiveTurnMode(turn_id="t", checkpoint=CheckpointKind.AFTER_WORK),
    inputs=(INPUT,),
)
DIAGNOSTICS = TurnInputClaimDiagnostics(
    state=TurnInputState.ACCEPTED,
    claim_id="c",
    claim_owner=LOCAL,
    claim_expires_at_ms=5,
    claim_fencing_token=1,
)
CHECKPOINT = HydratedCheckpoint(
    turn_state={"n": 1},
    tool_state_ref=REF,
    tool_state={"t": 1},
    plugin_snapshot=[],
    plugin_snapshot_revision=2,
    execution_state=b"\x00\xff",
)
META = AttachmentMeta(media_type="image/png", width=1, height=2, label="é")
VALUES = (
    GcPolicy(auto_run_every_commits=3),
    StoreOptions(blob_profile=BlobProfile.COMPACT, synchronous=Synchronous.NORMAL),
    LeaseTimings(ttl_ms=300, renew_interval_ms=100),
    BlobDescriptor(kind=ArtifactKind.MODULE, hints=(StorageHint.INLINE_PREFERRED,)),
    MANIFEST,
    CHECKPOINT,
    HydratedCheckpoint(),
    StoredCheckpoint(checkpoint_ref=REF, manifest=MANIFEST),
    message_node("m1", caused_by={"type": "turn"}, agent_frame_id="f"),
    GRAPH,
    SessionGraph(),
    GraphUnchanged(),
    GraphUnchanged(leaf_node_id="m1"),
    GraphAppend(nodes=message_chain("m1", "m2"), leaf_node_id="m1"),
    GraphReplace(graph=GRAPH),
    FullGraph(),
    ActivePath(leaf_node_id="m1"),
    TokenUsage(input_tokens=2**63 - 1),
    make_usage(output_tokens=1),
    SessionHeadMeta(
        session_id="root",
        head_revision=3,
        config={"a": [1.5]},
        agent_frames=({"frame_id": "f"},),
        current_agent_frame_id="f",
        checkpoint_ref=REF,
        leaf_node_id="m1",
        graph_node_count=2,
    ),
    PersistedSession(
        session_id="root",
        head_revision=3,
        config=None,
        agent_frames=(),
        current_agent_frame_id="",
        graph=GRAPH,
        checkpoint_ref=REF,
        checkpoint=CHECKPOINT,
        token_ledger=(make_usage(input_tokens=1),),
    ),
    TurnCommitStamp(session_id="root", turn_id="t", turn_commit_hash="h"),
    RuntimeCommit(session_id="root"),
    RuntimeCommit(
        session_id="root",
        expected_head_revision=0,
        session_execution_lease=LEASE.fence(),
        release_session_execution_lease=LEASE.completion(),
        config={"a": 1},
        agent_frames=({"f": 1},),
        current_agent_frame_id="f",
        graph=GraphReplace(graph=GRAPH),
        checkpoint=CHECKPOINT,
        usage_deltas=(make_usage(),),
        turn_commit=TurnCommitStamp(
            session_id="root", turn_id="t", turn_commit_hash="h"
        ),
        completed_queue_claims=(QUEUE_CLAIM.completion(),),
        completed_turn_input_claims=(INPUT_CLAIM.completion(),),
        interrupted_turn_input_turn_id="t0",
        committed_attachment_ids=(REF,),
    ),
    RuntimeCommitResult(head_revision=1, checkpoint_ref=REF, manifest=MANIFEST),
    RootRelation(),
    ChildRelation(parent_session_id="p", caused_by=[1]),
    SessionMeta(
        session_id="root",
        session_name="n",
        created_at="unix:1",
        relation=ChildRelation(parent_session_id="p"),
    ),
    SessionPickerInfo(
        session_id="root",
        cwd=None,
        relation=RootRelation(),
        first_user_message="é",
        user_message_count=1,
    ),
    GcReport(root_count=1, retained_blob_count=2, deleted_blob_count=3),
    VacuumReport(removed_node_count=1, removed_turn_input_count=2),
    OpaqueLiveness(),
    LOCAL.liveness,
    LOCAL,
    make_owner(),
    LEASE,
    LEASE.fence(),
    LEASE.completion(),
    MergeNever(),
    MergePayloadDefault(),
    MergeGroup(group="g"),
    make_wake(process_caused_by={"a": 1}),
    ProcessWakePayload(wake=make_wake()),
    SessionCommandPayload(command={"kind": "reset"}),
    TurnWorkPayload(body=None),
    turn_work_draft(1, merge_key=MergePayloadDefault(), source_key="k"),
    command_draft(),
    BATCH.items[0],
    BATCH,
    QUEUE_CLAIM,
    QUEUE_CLAIM.completion(),
    QueuedWorkCompletion(session_id="s", claim_id="c", lease_token="t", batch_ids=()),
    ActiveTurnIngress(turn_id="t"),
    NextTurnIngress(),
    active_turn_draft("t", [1]),
    next_turn_draft(None, input_id="i"),
    INPUT,
    InputIdTarget(input_id="i"),
    SourceKeyTarget(source_key="k"),
    DIAGNOSTICS,
    InputCancelled(input=INPUT),
    InputAlreadyClaimed(input=INPUT, claim=DIAGNOSTICS),
    InputAlreadyClaimed(input=INPUT, claim=None),
    InputAlreadyCompleted(input=INPUT),
    InputAlreadyCancelled(input=INPUT),
    InputNotFound(),
    CancelResult(
        target=SourceKeyTarget(source_key="k"), outcome=InputCancelled(input=INPUT)
    ),
    CancelResult(target=InputIdTarget(input_id="i"), outcome=InputNotFound()),
    ActiveTurnMode(turn_id="t", checkpoint=CheckpointKind.BEFORE_COMPLETION),
    NextTurnMode(),
    INPUT_CLAIM,
    INPUT_CLAIM.completion(),
    TurnInputCompletion(
        session_id="s", claim_id="c", lease_token="t", input_ids=("i",)
    ),
    AttachmentIntent(attachment_id=REF, canonical_uri="u", intent_at_ms=1),
    AttachmentManifestEntry(
        attachment_id=REF,
        session_id="root",
        canonical_uri="u",
        intent_at_ms=1,
        committed_at_ms=None,
    ),
    META,
    AttachmentRef(attachment_id=REF, byte_len=3, meta=META),
    ReclamationReport(scanned_intent_count=2, reclaimed_count=1),
)
by_type = pytest.mark.parametrize(
    "value", VALUES, ids=lambda value: type(value).__name__
)


@by_type
def test_json_round_trip(value):
    """
    A value's JSON form reads back as an equal value of its type.
    """
    text = to_json(value)

    assert isinstance(text, str)
    assert value == from_json(type(value), text)
    assert type(value) is type(from_json(type(value), text))


@by_type
def test_json_is_compact_and_sorted(value):
    """
    The JSON form is compact, with sorted keys and text as it is.
    """
    text = to_json(value)

    assert text == json.dumps(
        json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


@by_type
def test_values_are_frozen(value):
    """
    A value never changes.
    """
    for name in value.__struct_fields__ or ("anything",):
        with pytest.raises((AttributeError, TypeError)):
            setattr(value, name, None)


@by_type
def test_values_are_keyword_only(value):
    """
    A value's members are given by name.
    """
    members = msgspec.structs.asdict(value)
    assert value == type(value)(**members)
    if members:
        with pytest.raises(TypeError):
            type(value)(*members.values())


@by_type
def test_values_compare_by_value(value):
    """
    Equal members make equal values; another type never does.
    """
    again = from_json(type(value), to_json(value))

    assert value == again
    assert value is not again or not value.__struct_fields__
    assert value != object()


@pytest.mark.parametrize("kind", [LeaseAcquired, LeaseBusy])
def test_lease_outcomes(kind):
    """
    The outcomes of a claim are frozen, keyword-only values, too.
    """
    name = "lease" if kind is LeaseAcquired else "holder"
    outcome = kind(**{name: LEASE})

    assert outcome == kind(**{name: LEASE})
    assert LEASE is getattr(outcome, name)
    assert outcome == from_json(kind[SessionExecutionLease], to_json(outcome))
    with pytest.raises((AttributeError, TypeError)):
        setattr(outcome, name, None)
    with pytest.raises(TypeError):
        kind(LEASE)


UNIONS = (
    (
        lashstore.GraphDelta,
        [GraphUnchanged(), GraphAppend(nodes=()), GraphReplace(graph=GRAPH)],
    ),
    (lashstore.SessionReadScope, [FullGraph(), ActivePath()]),
    (lashstore.SessionRelation, [RootRelation(), ChildRelation(parent_session_id="p")]),
    (lashstore.LeaseOwnerLiveness, [OpaqueLiveness(), LOCAL.liveness]),
    (lashstore.MergeKey, [MergeNever(), MergePayloadDefault(), MergeGroup(group="g")]),
    (
        lashstore.QueuedWorkPayload,
        [
            ProcessWakePayload(wake=make_wake()),
            SessionCommandPayload(command=1),
            TurnWorkPayload(body=1),
        ],
    ),
    (lashstore.TurnInputIngress, [ActiveTurnIngress(turn_id="t"), NextTurnIngress()]),
    (
        lashstore.CancelTarget,
        [InputIdTarget(input_id="i"), SourceKeyTarget(source_key="k")],
    ),
    (
        lashstore.CancelOutcome,
        [
            InputCancelled(input=INPUT),
            InputAlreadyClaimed(input=INPUT, claim=None),
            InputAlreadyCompleted(input=INPUT),
            InputAlreadyCancelled(input=INPUT),
            InputNotFound(),
        ],
    ),
)


@pytest.mark.parametrize(("union", "members"), UNIONS, ids=lambda _: None)
def test_unions_tell_their_members_apart(union, members):
    """
    A union's JSON form says which member it is.
    """
    for member in members:
        read = from_json(union, to_json(member))
        assert member == read
        assert type(member) is type(read)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (DurabilityTier, ["inline", "durable"]),
        (BlobProfile, ["low_latency", "balanced", "compact"]),
        (Synchronous, ["normal", "full"]),
        (
            ArtifactKind,
            [
                "generic_blob",
                "checkpoint_manifest",
                "tool_state",
                "plugin_session_snapshot",
                "execution_state_snapshot",
                "module",
                "process_execution_env",
            ],
        ),
        (StorageHint, ["compressible", "inline_preferred", "large_payload"]),
        (DeliveryPolicy, ["earliest_safe_boundary", "after_current_turn_commit"]),
        (SlotPolicy, ["join", "exclusive"]),
        (QueuedWorkClass, ["session_command", "turn_work"]),
        (QueuedWorkBoundary, ["active_turn_checkpoint", "idle"]),
        (CheckpointKind, ["after_work", "before_completion"]),
        (
            TurnInputState,
            [
                "pending_active",
                "deferred_next_turn",
                "accepted",
                "cancelled",
                "completed",
            ],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_enumerations(kind, values):
    """
    Enumerations hold the contract's words and are written as them.
    """
    assert values == [member.value for member in kind]
    for member in kind:
        assert json.dumps(member.value) == to_json(member)
        assert member is from_json(kind, to_json(member))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (SessionNode, "{}"),
        (SessionNode, "not JSON"),
        (SessionNode, "[]"),
        (TokenLedgerEntry, '{"source":"s","model":"m","usage":{"input_tokens":"1"}}'),
        (lashstore.GraphDelta, '{"kind":"unheard of"}'),
        (TurnInputState, '"unheard of"'),
    ],
)
def test_what_is_no_json_form(kind, text):
    """
    Text that is not the form of its type is refused.
    """
    with pytest.raises(InvalidArgumentError):
        from_json(kind, text)


@pytest.mark.parametrize("payload", [float("nan"), "\ud800", {1, 2}], ids=ascii)
def test_json_refuses_what_json_cannot_carry(payload):
    """
    What JSON cannot carry is refused, not bent.
    """
    with pytest.raises(InvalidArgumentError):
        to_json(message_node("m1", payload=payload))


def test_defaults_are_the_contracts():
    """
    Defaults are as api.pyi has them.
    """
    assert (30_000, 10_000) == (LeaseTimings().ttl_ms, LeaseTimings().renew_interval_ms)
    assert StoreOptions() == StoreOptions(
        blob_profile=BlobProfile.BALANCED,
        gc_policy=GcPolicy(auto_run_every_commits=None),
        synchronous=Synchronous.FULL,
        wal_limit_bytes=16 * 2**20,
        busy_timeout_ms=15_000,
    )
    assert SessionNode(node_id="n") == SessionNode(
        node_id="n",
        parent_node_id=None,
        agent_frame_id=None,
        caused_by=None,
        timestamp="",
        kind="message",
        payload={},
    )
    assert 1 == SessionCheckpoint(turn_state={}).schema_version
    assert {} == HydratedCheckpoint().turn_state
    assert CheckpointKind.AFTER_WORK is ActiveTurnIngress(turn_id="t").min_boundary


@pytest.mark.parametrize(
    ("ttl_ms", "renew_interval_ms"), [(0, 1), (3, 0), (-1, -1), (299, 100), (1, 1)]
)
def test_timings_that_do_not_fit(ttl_ms, renew_interval_ms):
    """
    A lease must be worth three renewals of at least 1 ms.
    """
    with pytest.raises(ValueError, match=r"ttl|renew"):
        LeaseTimings(ttl_ms=ttl_ms, renew_interval_ms=renew_interval_ms)


def test_timings_from_a_length():
    """
    `from_ttl` renews three times a lease.
    """
    assert LeaseTimings(ttl_ms=100, renew_interval_ms=33) == LeaseTimings.from_ttl(100)
    with pytest.raises(ValueError, match="renew"):
        LeaseTimings.from_ttl(2)


def test_work_class_of_a_batch():
    """
    A batch's class is its payloads'.
    """
    assert QueuedWorkClass.TURN_WORK is BATCH.work_class


def test_clocks():
    """
    The manual clock moves when told; the system's is in milliseconds.
    """
    clock = ManualClock()
    assert 0 == clock.now_ms()
    clock.advance(5)
    clock.advance(7)
    assert 12 == clock.now_ms()
    assert 1_600_000_000_000 < SystemClock().now_ms() < 10_000_000_000_000


def test_everything_is_at_the_top():
    """
    Every type of the values here is exported and documented.
    """
    for kind in {type(value) for value in VALUES}:
        assert kind is getattr(lashstore, kind.__name__)
        assert kind.__name__ in lashstore.__all__
        assert inspect.getdoc(kind)
