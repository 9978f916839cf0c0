"""
Errors: typed, with their facts; damage and bad input never pass for answers.
"""

import pickle

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lashstore
from lashstore import (
    ActivePath,
    AttachmentIntent,
    CheckpointKind,
    CorruptRecordError,
    GraphAppend,
    GraphReplace,
    GraphUnchanged,
    HydratedCheckpoint,
    InputIdTarget,
    InvalidArgumentError,
    LashStoreError,
    ManualClock,
    QueuedWorkBoundary,
    QueuedWorkCompletion,
    SessionGraph,
    SourceKeyTarget,
    Store,
    TurnCommitStamp,
    TurnInputCompletion,
    UnknownNodeError,
)
from lashstore.testing import (
    acquire_lease,
    active_turn_draft,
    commit_nodes,
    make_commit,
    make_owner,
    make_usage,
    message_chain,
    message_node,
    next_turn_draft,
    session_meta,
    turn_work_draft,
)

ERRORS = {
    "InvalidArgumentError": ("m",),
    "SessionBindingMismatchError": {
        "bound_session_id": "a",
        "attempted_session_id": "b",
    },
    "SessionDeletedError": {"session_id": "a"},
    "HeadRevisionConflictError": {"expected": 1, "actual": 2},
    "TurnCommitConflictError": {"session_id": "a", "turn_id": "t"},
    "DuplicateNodeError": {"node_id": "n"},
    "UnknownNodeError": {"node_id": "n"},
    "UnknownBlobError": {"blob_ref": "r"},
    "SessionExecutionLeaseExpiredError": {"session_id": "a"},
    "QueuedWorkClaimExpiredError": {"session_id": "a", "claim_id": "c"},
    "TurnInputClaimExpiredError": {"session_id": "a", "claim_id": "c"},
    "SourceKeyConflictError": {
        "session_id": "a",
        "source_key": "k",
        "existing_input_id": "i",
    },
    "AttachmentNotFoundError": {"attachment_id": "x"},
    "CorruptRecordError": {"record_kind": "k", "key": "x", "reason": "r"},
    "RecordVersionError": {"record_kind": "k", "expected": 1, "actual": None},
    "SchemaVersionError": {"component": "session", "expected": "1", "found": None},
    "NotALashStoreError": {"path": "/p"},
    "StoreNotFoundError": {"path": "/p"},
    "StoreClosedError": ("m",),
    "ReadOnlyStoreError": ("m",),
    "StoreBusyError": ("m",),
    "BackendError": ("m",),
}


def make_error(name):
    """
    Construct an error as the contract says.
    """
    facts, kind = ERRORS[name], getattr(lashstore, name)
    return kind(*facts) if isinstance(facts, tuple) else kind(**facts)


@pytest.mark.parametrize("name", ERRORS)
def test_errors_carry_their_facts(name):
    """
    An error takes its fields by name, carries them, and has a message.
    """
    error, facts = make_error(name), ERRORS[name]

    assert isinstance(error, LashStoreError)
    assert str(error)
    if isinstance(facts, dict):
        assert facts == {field: getattr(error, field) for field in facts}
        with pytest.raises(TypeError):
            type(error)(*facts.values())


@pytest.mark.parametrize("name", ERRORS)
def test_only_busy_is_retryable(name):
    """
    The same call may succeed unchanged after `StoreBusyError` alone.
    """
    assert (name == "StoreBusyError") is make_error(name).retryable


@pytest.mark.parametrize("name", ERRORS)
def test_errors_travel_between_processes(name):
    """
    A pickled error keeps its type, message and facts.
    """
    error = make_error(name)

    again = pickle.loads(pickle.dumps(error))  # noqa: S301, our own

    assert (type(error), str(error)) == (type(again), str(again))
    assert vars(error) == vars(again)


def test_families_of_errors():
    """
    Expired leases have one base; a bad argument is a ValueError, too.
    """
    expired = (
        lashstore.SessionExecutionLeaseExpiredError,
        lashstore.QueuedWorkClaimExpiredError,
        lashstore.TurnInputClaimExpiredError,
    )
    assert all(issubclass(kind, lashstore.LeaseExpiredError) for kind in expired)
    assert issubclass(InvalidArgumentError, ValueError)


def observed(store):
    """
    Everything a reader can see of a session.
    """
    return (
        store.load_session(),
        store.load_session_head_meta(),
        store.load_session_meta(),
        store.load_usage_deltas(),
        store.list_queued_work(),
        store.list_pending_turn_inputs(),
        store.list_uncommitted_attachments(2**63),
    )


@pytest.fixture(name="used")
def _used(store):
    """
    A session with a bit of everything.
    """
    commit_nodes(store, *message_chain("m1", "m2"))
    store.save_session_meta(session_meta())
    store.enqueue_queued_work(turn_work_draft(source_key="k"))
    store.enqueue_pending_turn_input(next_turn_draft(source_key="k"))
    store.record_attachment_intent(
        AttachmentIntent(attachment_id="0" * 64, canonical_uri="u", intent_at_ms=1)
    )
    store.gc_unreachable()
    return store


BAD_TEXTS = ("nul\0nul", "\ud800", 7, None, b"bytes")


def completion(**fields):
    """
    A completion of queued work.
    """
    members = {
        "session_id": "root",
        "claim_id": "c",
        "lease_token": "t",
        "batch_ids": ("b",),
    }
    return QueuedWorkCompletion(**(members | fields))


def stamp(**fields):
    """
    A stamp.
    """
    members = {"session_id": "root", "turn_id": "t", "turn_commit_hash": "h"}
    return TurnCommitStamp(**(members | fields))


BAD_COMMITS = [
    *({"session_id": bad} for bad in BAD_TEXTS),
    *({"current_agent_frame_id": bad} for bad in BAD_TEXTS),
    *({"interrupted_turn_input_turn_id": bad} for bad in BAD_TEXTS if bad is not None),
    *({"turn_commit": stamp(turn_id=bad)} for bad in BAD_TEXTS),
    *({"turn_commit": stamp(turn_commit_hash=bad)} for bad in BAD_TEXTS),
    *({"committed_attachment_ids": (bad,)} for bad in BAD_TEXTS),
    *({"completed_queue_claims": (completion(batch_ids=(bad,)),)} for bad in BAD_TEXTS),
    *(
        {"graph": GraphUnchanged(leaf_node_id=bad)}
        for bad in BAD_TEXTS
        if bad is not None
    ),
    *({"graph": GraphAppend(nodes=(message_node(bad),))} for bad in BAD_TEXTS),
    *(
        {"graph": GraphAppend(nodes=(message_node("n", **{name: bad}),))}
        for name in ("parent", "agent_frame_id")
        for bad in BAD_TEXTS
        if bad is not None
    ),
    *(
        {"graph": GraphAppend(nodes=(message_node("n", **{name: bad}),))}
        for name in ("kind", "timestamp")
        for bad in BAD_TEXTS
    ),
    *(
        {"graph": GraphAppend(nodes=(message_node("n", **{name: bad}),))}
        for name in ("payload", "caused_by")
        for bad in (
            float("nan"),
            {"x": float("inf")},
            "\ud800",
            {1: 2},
            {1, 2},
            object(),
        )
    ),
    *(
        {"config": bad}
        for bad in (float("nan"), {"\ud800": 1}, {1: 2}, object(), b"bytes")
    ),
    *({"agent_frames": (bad,)} for bad in ({"x": float("nan")}, {1: 2}, object())),
    *({"expected_head_revision": bad} for bad in (-1, 2**63, 1.5, "1", True)),
    {"graph": None},
    {"graph": "append"},
    {"graph": GraphAppend(nodes=("text",))},
    {"graph": GraphReplace(graph=SessionGraph(nodes=(message_node("a", parent="a"),)))},
    {"checkpoint": None},
    {"turn_commit": "t1"},
    {"session_execution_lease": "lease"},
    {"release_session_execution_lease": "lease"},
    {"usage_deltas": (make_usage(input_tokens=-1),)},
    {"usage_deltas": ("text",)},
    {"completed_queue_claims": ("text",)},
    {"completed_turn_input_claims": ("text",)},
]


@pytest.mark.parametrize("fields", BAD_COMMITS, ids=range(len(BAD_COMMITS)))
def test_commit_that_cannot_be_stored(used, fields):
    """
    A commit with anything that cannot be stored is refused, unwritten.
    """
    before = observed(used)
    commit = make_commit(
        acquire_lease(used), checkpoint=HydratedCheckpoint(tool_state=1)
    )
    members = msgspec.structs.asdict(commit) | fields

    with pytest.raises(InvalidArgumentError):
        used.commit_runtime_state(type(commit)(**members))

    assert before == observed(used)
    assert 0 == used.gc_unreachable().deleted_blob_count


def test_no_commit_at_all(used):
    """
    What is no commit is refused.
    """
    for bad in (None, "commit", {}):
        with pytest.raises(InvalidArgumentError):
            used.commit_runtime_state(bad)


OWNER = make_owner()
IDLE = QueuedWorkBoundary.IDLE
INTENT = AttachmentIntent(attachment_id="a", canonical_uri="u", intent_at_ms=1)

BAD_CALLS = {
    "meta is none": lambda s, _: s.save_session_meta("meta"),
    "usage is none": lambda s, _: s.append_usage_deltas(["usage"]),
    "owner is none": lambda s, _: s.try_claim_session_execution_lease("owner", 1),
    "reclaimer is none": lambda s, f: s.reclaim_session_execution_lease("owner", f, 1),
    "observed is none": lambda s, _: s.reclaim_session_execution_lease(OWNER, "f", 1),
    "fence is none": lambda s, _: s.renew_session_execution_lease("fence", 1),
    "release is none": lambda s, _: s.release_session_execution_lease("completion"),
    "queue draft is none": lambda s, _: s.enqueue_queued_work("draft"),
    "queue fence is none": lambda s, _: s.claim_ready_queued_work(
        "f", OWNER, IDLE, 1, 1
    ),
    "queue owner is none": lambda s, f: s.claim_ready_queued_work(f, "o", IDLE, 1, 1),
    "boundary is none": lambda s, f: s.claim_ready_queued_work(f, OWNER, "never", 1, 1),
    "batches out of range": lambda s, f: s.claim_ready_queued_work(
        f, OWNER, IDLE, 1, -1
    ),
    "batch id is none": lambda s, f: s.claim_ready_queued_work_by_batch_ids(
        f, OWNER, IDLE, 1, [None]
    ),
    "queue claim is none": lambda s, _: s.renew_queued_work_claim("claim", 1),
    "abandoned work is none": lambda s, _: s.abandon_queued_work_claim("claim"),
    "cancelled batch is none": lambda s, _: s.cancel_queued_work_batch(None),
    "cancelled batch with NUL": lambda s, _: s.cancel_queued_work_batch("a\0b"),
    "input draft is none": lambda s, _: s.enqueue_pending_turn_input("draft"),
    "target is none": lambda s, _: s.cancel_pending_turn_input("target"),
    "target with NUL": lambda s, _: s.cancel_pending_turn_input(
        InputIdTarget(input_id="a\0b")
    ),
    "anchor is none": lambda s, _: s.cancel_pending_turn_input_suffix(None),
    "anchor with a surrogate": lambda s, _: s.cancel_pending_turn_input_suffix(
        SourceKeyTarget(source_key="\ud800")
    ),
    "turn id with NUL": lambda s, f: s.claim_active_turn_inputs(
        f, OWNER, "a\0b", CheckpointKind.AFTER_WORK, 1, 1
    ),
    "checkpoint is none": lambda s, f: s.claim_active_turn_inputs(
        f, OWNER, "t", "x", 1, 1
    ),
    "inputs out of range": lambda s, f: s.claim_next_turn_inputs(f, OWNER, 1, -1),
    "input claim is none": lambda s, _: s.renew_turn_input_claim("claim", 1),
    "abandoned inputs are none": lambda s, _: s.abandon_turn_input_claim("claim"),
    "live turn with NUL": lambda s, f: s.redefer_orphaned_turn_inputs(
        f, live_turn_ids=["a\0b"]
    ),
    "intent is none": lambda s, _: s.record_attachment_intent("intent"),
    "intent in the past": lambda s, _: s.record_attachment_intent(
        msgspec.structs.replace(INTENT, intent_at_ms=-1)
    ),
    "stamped id with NUL": lambda s, _: s.commit_attachment_refs(["a\0b"]),
    "forgotten id with NUL": lambda s, _: s.forget_attachment("a\0b"),
    "bound in the past": lambda s, _: s.list_uncommitted_attachments(-1),
    "bound is text": lambda s, _: s.list_uncommitted_attachments("1"),
    "tombstone with NUL": lambda s, _: s.tombstone_nodes(["a\0b"]),
    "scope is none": lambda s, _: s.load_session("full"),
    "scope with NUL": lambda s, _: s.load_session(ActivePath(leaf_node_id="a\0b")),
    "node id with NUL": lambda s, _: s.load_node("a\0b"),
    "node id is none": lambda s, _: s.load_node(None),
    "artifact ref with NUL": lambda s, _: s.get_artifact_bytes("a\0b"),
    "env ref with NUL": lambda s, _: s.get_process_execution_env("a\0b"),
    "module ref with NUL": lambda s, _: s.get_module_artifact("a\0b"),
    "descriptor is none": lambda s, _: s.put_artifact_blob("generic", b""),
    "kind is none": lambda s, _: s.put_artifact_bytes("r", b"", kind="unheard of"),
    "checkpoint is text": lambda s, _: s.put_checkpoint("checkpoint"),
    "source is none": lambda s, _: s.copy_head_from("store"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_arguments_are_refused(used, name):
    """
    A wrong type, a number out of range or unstorable text changes nothing.
    """
    fence = acquire_lease(used).fence()
    before = observed(used)

    with pytest.raises(InvalidArgumentError):
        BAD_CALLS[name](used, fence)

    assert before == observed(used)


def test_ids_with_path_separators_are_plain_ids(used):
    """
    Ids are text: separators and dots mean nothing in them.
    """
    awkward = "../../etc/passwd"
    commit_nodes(used, message_node(awkward, parent="m2"))
    used.put_artifact_bytes(awkward, b"x")
    said = used.enqueue_pending_turn_input(
        active_turn_draft(awkward, input_id=awkward, source_key=awkward)
    )

    assert awkward == used.load_node(awkward).node_id
    assert b"x" == used.get_artifact_bytes(awkward)
    assert awkward == said.input_id


def test_nul_is_welcome_in_payloads(used):
    """
    Payloads carry NUL; ids do not.
    """
    said = {"a\0": ["b\0"]}
    commit_nodes(used, message_node("n", payload=said, caused_by="\0"))
    used.enqueue_pending_turn_input(next_turn_draft(said))
    used.commit_runtime_state(
        make_commit(
            acquire_lease(used),
            config=said,
            agent_frames=(said,),
            checkpoint=HydratedCheckpoint(turn_state=said, tool_state=said),
        )
    )

    session = used.load_session()
    assert said == used.load_node("n").payload
    assert said == used.list_pending_turn_inputs()[1].input
    assert (said, (said,)) == (session.config, session.agent_frames)
    assert (said, said) == (
        session.checkpoint.turn_state,
        session.checkpoint.tool_state,
    )


def test_lists_of_any_length(used):
    """
    No method has a limit on how many ids it is given.
    """
    many = [f"id {number}" for number in range(40_000)]
    fence = acquire_lease(used).fence()

    assert 0 == used.tombstone_nodes(many)
    assert None is used.claim_ready_queued_work_by_batch_ids(
        fence, OWNER, IDLE, 1000, many
    )
    assert 40_000 == len(
        used.cancel_pending_turn_inputs([InputIdTarget(input_id=one) for one in many])
    )
    assert () == used.redefer_orphaned_turn_inputs(fence, live_turn_ids=many)
    with pytest.raises(lashstore.AttachmentNotFoundError):
        used.commit_attachment_refs(many)


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=10,
)


def put_in_typed_blob(store, value):
    """
    Through a blob.
    """
    return store.get_typed_blob(store.put_typed_blob(value))


def put_in_node(store, value):
    """
    Through a node's payload.
    """
    commit_nodes(store, message_node("m1", payload=value))
    return store.load_node("m1").payload


def put_in_config(store, value):
    """
    Through the head.
    """
    store.commit_runtime_state(make_commit(acquire_lease(store), config=value))
    return store.load_session().config


def put_in_work(store, value):
    """
    Through the queue.
    """
    store.enqueue_queued_work(turn_work_draft(value))
    return store.list_queued_work()[0].items[0].payload.body


def put_in_input(store, value):
    """
    Through a turn input.
    """
    store.enqueue_pending_turn_input(next_turn_draft(value))
    return store.list_pending_turn_inputs()[0].input


PLACES = (put_in_typed_blob, put_in_node, put_in_config, put_in_work, put_in_input)


@pytest.mark.parametrize("put", PLACES, ids=lambda put: put.__name__)
@settings(max_examples=40, deadline=None)
@given(value=JSON)
def test_what_is_accepted_reads_back(put, value):
    """
    Plain data reads back equal and of the same types, or is refused.
    """
    with Store.memory(clock=ManualClock(1)) as store:
        try:
            read = put(store, value)
        except InvalidArgumentError:
            return
    assert value == read
    assert shape(value) == shape(read)


def shape(value):
    """
    The types of a value, at every depth.
    """
    if isinstance(value, dict):
        return {key: shape(member) for key, member in value.items()}
    if isinstance(value, list):
        return [shape(member) for member in value]
    return type(value)


@pytest.mark.parametrize("put", PLACES, ids=lambda put: put.__name__)
@pytest.mark.parametrize(
    "value",
    [2**53 + 1, 2**63 - 1, -(2**63), 1e16, 5e-324, 1.7976931348623157e308, 0.1],
    ids=repr,
)
def test_numbers_keep_their_value(store, put, value):
    """
    Whole numbers of 64 bits and all finite floats are kept exactly.
    """
    assert repr([value]) == repr(put(store, [value]))


def test_refused_claim_completion_of_another_session(used):
    """
    Another session's completions fail as expired claims.
    """
    for fields, error in (
        (
            {"completed_queue_claims": (completion(session_id="other"),)},
            lashstore.QueuedWorkClaimExpiredError,
        ),
        (
            {
                "completed_turn_input_claims": (
                    TurnInputCompletion(
                        session_id="other",
                        claim_id="c",
                        lease_token="t",
                        input_ids=("i",),
                    ),
                )
            },
            lashstore.TurnInputClaimExpiredError,
        ),
    ):
        with pytest.raises(error) as caught:
            used.commit_runtime_state(make_commit(acquire_lease(used), **fields))
        assert ("other", "c") == (caught.value.session_id, caught.value.claim_id)


def test_several_faults_write_nothing(used):
    """
    A commit of good parts and one bad one leaves no part behind.
    """
    before = observed(used)
    with pytest.raises(UnknownNodeError):
        used.commit_runtime_state(
            make_commit(
                acquire_lease(used),
                message_node("n1"),
                message_node("n2", parent="nowhere"),
                checkpoint=HydratedCheckpoint(tool_state={"left": "behind"}),
                usage_deltas=(make_usage(input_tokens=1),),
            ).stamped("t1")
        )

    assert before == observed(used)
    assert 0 == used.gc_unreachable().deleted_blob_count


# Damage: what is stored, and which reads must raise because of it.


def store_node(store):
    """
    A node with a marker in its payload.
    """
    commit_nodes(store, message_node("m1", content="MARKER01"))


def store_node_member(name):
    """
    A node with a marker in another member.
    """

    def run(store):
        commit_nodes(store, message_node("m1", **{name: "MARKER01"}))

    return run


def store_head(**fields):
    """
    A head with a marker.
    """

    def run(store):
        store.commit_runtime_state(make_commit(acquire_lease(store), **fields))

    return run


def store_meta(**fields):
    """
    Metadata with a marker.
    """

    def run(store):
        store.save_session_meta(session_meta(**fields))

    return run


def store_work(**fields):
    """
    A batch with a marker.
    """

    def run(store):
        store.enqueue_queued_work(turn_work_draft(**fields))

    return run


def store_work_body(store):
    """
    A batch with a marker in its payload.
    """
    store.enqueue_queued_work(turn_work_draft({"text": "MARKER01"}))


def store_input(store):
    """
    An input with a marker.
    """
    store.enqueue_pending_turn_input(next_turn_draft({"text": "MARKER01"}))


def store_input_turn(store):
    """
    An input for a turn whose id is the marker.
    """
    store.enqueue_pending_turn_input(active_turn_draft("MARKER01"))


def claim_work(store):
    """
    Claim the first batch.
    """
    return store.claim_ready_queued_work(
        acquire_lease(store).fence(), OWNER, IDLE, 1000, 10
    )


def claim_input(store):
    """
    Claim the first input.
    """
    return store.claim_next_turn_inputs(acquire_lease(store).fence(), OWNER, 1000, 10)


def full(store):
    """
    Read the whole session.
    """
    return store.load_session()


def path(store):
    """
    Read the active path.
    """
    return store.load_session(ActivePath())


def node(store):
    """
    Read the node.
    """
    return store.load_node("m1")


def head(store):
    """
    Read the head row.
    """
    return store.load_session_head_meta()


def meta(store):
    """
    Read the metadata.
    """
    return store.load_session_meta()


def picker(store):
    """
    Read the picker's line.
    """
    return store.load_picker_info()


def work(store):
    """
    List the queue.
    """
    return store.list_queued_work()


def pending_work(store):
    """
    List what nobody holds of the queue.
    """
    return store.list_pending_queued_work()


def inputs(store):
    """
    List the inputs.
    """
    return store.list_pending_turn_inputs()


def next_commit(store):
    """
    Commit on the damaged head.
    """
    return store.commit_runtime_state(make_commit(acquire_lease(store)))


MARK = "MARKER01"
DAMAGES = [
    (store_node, (full, path, node)),
    (store_node_member("timestamp"), (full, path, node)),
    (store_node_member("kind"), (full, path, node)),
    (store_node_member("agent_frame_id"), (full, path, node)),
    (store_node_member("caused_by"), (full, path, node)),
    (store_head(config={"x": MARK}), (full, path, head, next_commit)),
    (store_head(agent_frames=({"x": MARK},)), (full, path, head, next_commit)),
    (store_head(current_agent_frame_id=MARK), (full, path, head, next_commit)),
    (store_head(checkpoint=HydratedCheckpoint(turn_state=MARK)), (full, path)),
    (store_head(checkpoint=HydratedCheckpoint(tool_state=MARK)), (full, path)),
    (store_head(checkpoint=HydratedCheckpoint(plugin_snapshot=MARK)), (full, path)),
    (
        store_head(checkpoint=HydratedCheckpoint(execution_state=MARK.encode())),
        (full, path),
    ),
    (store_meta(session_name=MARK), (meta,)),
    (store_meta(model=MARK), (meta,)),
    (store_meta(cwd=MARK), (meta, picker)),
    (store_work_body, (work, pending_work, claim_work)),
    (store_work(source_key=MARK), (work, pending_work, claim_work)),
    (store_input, (inputs, claim_input)),
    (store_input_turn, (inputs,)),
]


@pytest.mark.requires("is_damageable")
@pytest.mark.parametrize(("fill", "reads"), DAMAGES, ids=range(len(DAMAGES)))
def test_damage_is_never_an_answer(backend, fill, reads):
    """
    A flipped bit raises on every read that meets it.
    """
    store = backend.open_store()
    fill(store)
    store = backend.damage(store, MARK, "MARKER11")

    for read in reads:
        with pytest.raises(CorruptRecordError):
            read(store)


@pytest.mark.requires("is_damageable")
def test_damaged_turn_result_is_never_replayed(backend):
    """
    A stored result that is damaged is not returned.
    """
    store = backend.open_store()
    turn = make_commit(
        acquire_lease(store),
        checkpoint=HydratedCheckpoint(turn_state={"x": MARK}),
    ).stamped("t1")
    store.commit_runtime_state(turn)
    store = backend.damage(store, MARK, "MARKER11")

    with pytest.raises(CorruptRecordError):
        store.commit_runtime_state(turn)


@pytest.mark.requires("is_damageable")
def test_damaged_head_is_a_commits_first_error(backend):
    """
    A commit on a damaged head fails for the head, lease and replay or not.
    """
    store = backend.open_store()
    turn = make_commit(acquire_lease(store), config={"x": MARK}).stamped("t1")
    store.commit_runtime_state(turn)
    store = backend.damage(store, MARK, "MARKER11")
    unfenced = msgspec.structs.replace(
        turn, session_execution_lease=None, turn_commit=None
    )

    for commit in (turn, unfenced):
        with pytest.raises(CorruptRecordError):
            store.commit_runtime_state(commit)


@pytest.mark.requires("is_damageable")
def test_damaged_work_can_be_cancelled_or_raises(backend):
    """
    One damaged batch never makes another one's answer wrong.
    """
    store = backend.open_store()
    store.enqueue_queued_work(turn_work_draft("MARKER01"))
    good = store.enqueue_queued_work(turn_work_draft("good"))
    store = backend.damage(store, MARK, "MARKER11")

    assert good == store.cancel_queued_work_batch(good.batch_id)


@pytest.mark.requires("is_damageable")
def test_damage_elsewhere_does_not_spread(backend):
    """
    Damaged metadata does not keep the session from being read.
    """
    store = backend.open_store()
    commit_nodes(store, message_node("m1"))
    store.save_session_meta(session_meta(session_name=MARK))
    store = backend.damage(store, MARK, "MARKER11")

    assert 1 == store.load_session().head_revision


@pytest.mark.requires("is_damageable")
def test_damaged_head_cannot_be_copied(backend):
    """
    A copy of damage is not made.
    """
    source = backend.open_store("source")
    source.commit_runtime_state(make_commit(acquire_lease(source), config={"x": MARK}))
    source = backend.damage(source, MARK, "MARKER11")
    target = backend.open_store("target")

    with pytest.raises(CorruptRecordError):
        target.copy_head_from(source)

    assert None is target.load_session()
