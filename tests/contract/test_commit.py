"""
Commits: one turn, one transaction, one revision.
"""

import hashlib
from typing import Any

import msgspec
import pytest

from lashstore import (
    ActivePath,
    AttachmentNotFoundError,
    CheckpointKind,
    GraphAppend,
    GraphReplace,
    GraphUnchanged,
    HeadRevisionConflictError,
    HydratedCheckpoint,
    LeaseAcquired,
    LeaseBusy,
    LeaseExpiredError,
    PersistedSession,
    QueuedWorkBoundary,
    QueuedWorkClaimExpiredError,
    QueuedWorkCompletion,
    SessionBindingMismatchError,
    SessionExecutionLeaseExpiredError,
    SessionGraph,
    SlotPolicy,
    TurnCommitConflictError,
    TurnCommitStamp,
    TurnInputClaimExpiredError,
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

NOBODYS_QUEUE_CLAIM = QueuedWorkCompletion(
    session_id="root", claim_id="nobody", lease_token="none", batch_ids=("b",)
)
NOBODYS_INPUT_CLAIM = TurnInputCompletion(
    session_id="root", claim_id="nobody", lease_token="none", input_ids=("i",)
)


def observed(store):
    """
    Everything a reader can see of a session.
    """
    return (
        store.load_session(),
        store.load_session_head_meta(),
        store.load_usage_deltas(),
        store.list_queued_work(),
        store.list_pending_queued_work(),
        store.list_pending_turn_inputs(),
        store.load_session_meta(),
    )


def claim_queue(store, lease, **fields):
    """
    Enqueue one batch and claim it.
    """
    store.enqueue_queued_work(turn_work_draft(**fields))
    return store.claim_ready_queued_work(
        lease.fence(), lease.owner, QueuedWorkBoundary.IDLE, 1000, 10
    )


def claim_input(store, lease, **fields):
    """
    Enqueue one next-turn input and claim it.
    """
    store.enqueue_pending_turn_input(next_turn_draft(**fields))
    return store.claim_next_turn_inputs(lease.fence(), lease.owner, 1000, 10)


def test_empty_session_has_no_head(store):
    """
    A session that was never committed has no head, metadata or not.
    """
    store.save_session_meta(session_meta())

    assert None is store.load_session()
    assert None is store.load_session(ActivePath())
    assert None is store.load_session_head_meta()


def test_first_commit_yields_revision_one(backend):
    """
    The first commit makes revision 1, in its result, its head and its read.
    """
    store = backend.open_store()

    result = commit_nodes(store, message_node("m1"))
    store = backend.reopen(store)

    assert 1 == result.head_revision
    assert 1 == store.load_session_head_meta().head_revision
    assert 1 == store.load_session().head_revision


def test_each_commit_adds_one(store):
    """
    A head's revision grows by exactly one with each commit.
    """
    revisions = [
        commit_nodes(store, message_node(f"m{n}")).head_revision for n in range(4)
    ]

    assert [1, 2, 3, 4] == revisions


def test_commit_reads_back(backend):
    """
    What a commit carries is what a read returns, after a reopen too.
    """
    store = backend.open_store()
    frames = ({"frame_id": "f1", "n": 1}, {"frame_id": "f2", "é": [None, True]})
    nodes = message_chain("m1", "m2")
    commit = make_commit(
        acquire_lease(store),
        *nodes,
        config={"model": "model-1", "nested": {"a": [1, 2.5, None]}},
        agent_frames=frames,
        current_agent_frame_id="f2",
        checkpoint=HydratedCheckpoint(turn_state={"turn_index": 3}),
        usage_deltas=(make_usage(input_tokens=5),),
    )

    result = store.commit_runtime_state(commit)
    store = backend.reopen(store)

    expected = PersistedSession(
        session_id="root",
        head_revision=1,
        config={"model": "model-1", "nested": {"a": [1, 2.5, None]}},
        agent_frames=frames,
        current_agent_frame_id="f2",
        graph=SessionGraph(nodes=nodes, leaf_node_id="m2"),
        checkpoint_ref=result.checkpoint_ref,
        checkpoint=HydratedCheckpoint(turn_state={"turn_index": 3}),
        token_ledger=(make_usage(input_tokens=5),),
    )
    assert expected == store.load_session()


def test_result_names_the_checkpoint(store):
    """
    A result's checkpoint ref and manifest are those the head keeps.
    """
    commit = make_commit(
        acquire_lease(store),
        checkpoint=HydratedCheckpoint(
            turn_state={"n": 1}, tool_state={"a": 1}, plugin_snapshot_revision=7
        ),
    )

    result = store.commit_runtime_state(commit)

    assert {"n": 1} == result.manifest.turn_state
    assert 7 == result.manifest.plugin_snapshot_revision
    assert {"a": 1} == store.get_typed_blob(result.manifest.tool_state_ref)
    assert result.checkpoint_ref == store.load_session().checkpoint_ref
    assert result.checkpoint_ref == store.load_session_head_meta().checkpoint_ref


def test_head_meta_is_the_head_without_its_graph(store):
    """
    The head row holds config, frames, leaf, checkpoint and node count.
    """
    result = store.commit_runtime_state(
        make_commit(
            acquire_lease(store),
            *message_chain("m1", "m2", "m3"),
            config={"c": 1},
            agent_frames=({"frame_id": "f"},),
            current_agent_frame_id="f",
        )
    )

    head = store.load_session_head_meta()

    assert ("root", 1, {"c": 1}) == (head.session_id, head.head_revision, head.config)
    assert (({"frame_id": "f"},), "f") == (
        head.agent_frames,
        head.current_agent_frame_id,
    )
    assert (result.checkpoint_ref, "m3", 3) == (
        head.checkpoint_ref,
        head.leaf_node_id,
        head.graph_node_count,
    )
    assert 1 == head.schema_version


def test_commit_replaces_the_head(store):
    """
    Config, frames and checkpoint of a commit replace the previous ones.
    """
    lease = acquire_lease(store)
    store.commit_runtime_state(
        make_commit(
            lease,
            config={"a": 1},
            agent_frames=({"frame_id": "f"},),
            current_agent_frame_id="f",
            checkpoint=HydratedCheckpoint(turn_state={"n": 1}, tool_state={"t": 1}),
        )
    )

    store.commit_runtime_state(make_commit(lease, config={"b": 2}))

    session = store.load_session()
    assert {"b": 2} == session.config
    assert () == session.agent_frames
    assert "" == session.current_agent_frame_id
    assert HydratedCheckpoint() == session.checkpoint


@pytest.mark.parametrize("expected", [None, 0])
def test_first_commit_expects_nothing_or_zero(store, expected):
    """
    On a session without a head, revision 0 and no expectation both pass.
    """
    commit = make_commit(acquire_lease(store), expected_head_revision=expected)

    assert 1 == store.commit_runtime_state(commit).head_revision


@pytest.mark.parametrize("expected", [2, None])
def test_commit_on_the_current_revision(store, expected):
    """
    The current revision, and no expectation at all, let a commit pass.
    """
    commit_nodes(store, message_node("m1"))
    commit_nodes(store, message_node("m2"))

    commit = make_commit(acquire_lease(store), expected_head_revision=expected)

    assert 3 == store.commit_runtime_state(commit).head_revision


@pytest.mark.parametrize("expected", [0, 1, 3, 2**63 - 1])
def test_commit_on_another_revision_conflicts(store, expected):
    """
    Any other revision is a conflict that names both and changes nothing.
    """
    commit_nodes(store, message_node("m1"))
    commit_nodes(store, message_node("m2"))
    before = observed(store)
    commit = make_commit(
        acquire_lease(store), message_node("m3"), expected_head_revision=expected
    )

    with pytest.raises(HeadRevisionConflictError) as caught:
        store.commit_runtime_state(commit)

    assert (expected, 2) == (caught.value.expected, caught.value.actual)
    assert before == observed(store)


def test_commit_on_a_revision_of_an_empty_session_conflicts(store):
    """
    A session without a head is at revision 0.
    """
    commit = make_commit(acquire_lease(store), expected_head_revision=3)

    with pytest.raises(HeadRevisionConflictError) as caught:
        store.commit_runtime_state(commit)

    assert (3, 0) == (caught.value.expected, caught.value.actual)
    assert None is store.load_session()


def test_commit_without_stamp_applies_again(store):
    """
    An unstamped commit lands as often as it is sent.
    """
    commit = make_commit(
        acquire_lease(store), usage_deltas=(make_usage(input_tokens=1),)
    )

    store.commit_runtime_state(commit)
    result = store.commit_runtime_state(commit)

    assert 2 == result.head_revision
    assert 2 == len(store.load_usage_deltas())


def test_commit_needs_a_lease(store):
    """
    Without a fence nothing lands, and the first commit leaves no head.
    """
    commit = make_commit(acquire_lease(store), session_execution_lease=None)

    with pytest.raises(SessionExecutionLeaseExpiredError) as caught:
        store.commit_runtime_state(commit)

    assert "root" == caught.value.session_id
    assert None is store.load_session()


def test_commit_on_a_session_never_leased(store):
    """
    A fence no lease row knows is refused.
    """
    lease = acquire_lease(store)
    store.release_session_execution_lease(lease.completion())

    with pytest.raises(SessionExecutionLeaseExpiredError):
        store.commit_runtime_state(make_commit(lease))


@pytest.mark.parametrize(
    "changes",
    [
        {"lease_token": "another"},
        {"fencing_token": 2},
        {"fencing_token": 0},
        {"owner": make_owner("other")},
        {"owner": make_owner("worker", "2")},
        {"session_id": "elsewhere"},
    ],
    ids=str,
)
def test_commit_with_a_fence_that_is_not_exact(store, changes):
    """
    A fence that differs in any member proves nothing.
    """
    lease = acquire_lease(store)
    fence = msgspec.structs.replace(lease.fence(), **changes)

    with pytest.raises(SessionExecutionLeaseExpiredError):
        store.commit_runtime_state(make_commit(lease, session_execution_lease=fence))

    assert None is store.load_session()


def test_commit_until_the_last_millisecond(store, clock):
    """
    A lease admits commits until the instant it expires, not in it.
    """
    lease = acquire_lease(store, ttl_ms=100)
    clock.advance(99)
    store.commit_runtime_state(make_commit(lease))
    clock.advance(1)

    with pytest.raises(SessionExecutionLeaseExpiredError):
        store.commit_runtime_state(make_commit(lease))

    assert 1 == store.load_session().head_revision


def test_superseded_holder_cannot_commit(store, clock):
    """
    A holder whose lease another one took cannot publish any more.
    """
    old = acquire_lease(store, make_owner("old"), ttl_ms=100)
    clock.advance(100)
    acquire_lease(store, make_owner("new"))

    with pytest.raises(SessionExecutionLeaseExpiredError):
        store.commit_runtime_state(make_commit(old))


def test_commit_may_release_the_lease(store):
    """
    A releasing commit frees the session at once, for a higher fence.
    """
    lease = acquire_lease(store)
    store.commit_runtime_state(
        make_commit(lease, release_session_execution_lease=lease.completion())
    )

    outcome = store.try_claim_session_execution_lease(make_owner("next"), 1000)

    assert isinstance(outcome, LeaseAcquired)
    assert 2 == outcome.lease.fencing_token


def test_rejected_commit_does_not_release_the_lease(store):
    """
    A commit that fails leaves its lease held.
    """
    lease = acquire_lease(store)
    commit = make_commit(
        lease,
        expected_head_revision=5,
        release_session_execution_lease=lease.completion(),
    )

    with pytest.raises(HeadRevisionConflictError):
        store.commit_runtime_state(commit)

    outcome = store.try_claim_session_execution_lease(make_owner("next"), 1000)
    assert isinstance(outcome, LeaseBusy)


def test_release_that_matches_no_lease_changes_nothing(store):
    """
    A commit lands even if its release names another lease, which stays.
    """
    lease = acquire_lease(store)
    stale = msgspec.structs.replace(lease.completion(), lease_token="stale")

    store.commit_runtime_state(
        make_commit(lease, release_session_execution_lease=stale)
    )

    outcome = store.try_claim_session_execution_lease(make_owner("next"), 1000)
    assert 1 == store.load_session().head_revision
    assert isinstance(outcome, LeaseBusy)


def test_commit_of_another_session(backend):
    """
    A store refuses another session's commit by both names.
    """
    store, other = backend.open_store(), backend.open_store("other")
    commit = make_commit(acquire_lease(other))

    with pytest.raises(SessionBindingMismatchError) as caught:
        store.commit_runtime_state(commit)

    assert ("root", "other") == (
        caught.value.bound_session_id,
        caught.value.attempted_session_id,
    )
    assert None is store.load_session()


def test_commit_completes_its_claims(backend):
    """
    Completed batches are gone, completed inputs final, with the commit.
    """
    store = backend.open_store()
    lease = acquire_lease(store)
    work, said = claim_queue(store, lease), claim_input(store, lease)

    store.commit_runtime_state(
        make_commit(
            lease,
            completed_queue_claims=(work.completion(),),
            completed_turn_input_claims=(said.completion(),),
        )
    )
    store = backend.reopen(store)

    assert () == store.list_queued_work()
    assert () == store.list_pending_turn_inputs()
    assert None is store.claim_next_turn_inputs(lease.fence(), lease.owner, 1000, 10)


def test_commit_completes_several_claims(store):
    """
    One commit may complete any number of claims of both kinds.
    """
    lease = acquire_lease(store)
    works = [claim_queue(store, lease) for _ in range(3)]
    inputs = [claim_input(store, lease) for _ in range(3)]

    store.commit_runtime_state(
        make_commit(
            lease,
            completed_queue_claims=tuple(claim.completion() for claim in works),
            completed_turn_input_claims=tuple(claim.completion() for claim in inputs),
        )
    )

    assert () == store.list_queued_work()
    assert () == store.list_pending_turn_inputs()


def test_expired_claims_complete_while_nobody_took_them(store, clock):
    """
    A claim that ran out is completed all the same if it was not retaken.
    """
    lease = acquire_lease(store)
    work, said = claim_queue(store, lease), claim_input(store, lease)
    clock.advance(5000)

    store.commit_runtime_state(
        make_commit(
            lease,
            completed_queue_claims=(work.completion(),),
            completed_turn_input_claims=(said.completion(),),
        )
    )

    assert () == store.list_queued_work()
    assert () == store.list_pending_turn_inputs()


def test_retaken_queue_claim_fails_the_commit(store, clock):
    """
    A superseded claim on queued work takes the whole commit with it.
    """
    lease = acquire_lease(store)
    old = claim_queue(store, lease)
    clock.advance(1000)
    new = store.claim_ready_queued_work(
        lease.fence(), lease.owner, QueuedWorkBoundary.IDLE, 1000, 10
    )
    before = observed(store)

    with pytest.raises(QueuedWorkClaimExpiredError) as caught:
        store.commit_runtime_state(
            make_commit(
                lease,
                message_node("m1"),
                usage_deltas=(make_usage(input_tokens=1),),
                completed_queue_claims=(old.completion(),),
            )
        )

    assert ("root", old.claim_id) == (caught.value.session_id, caught.value.claim_id)
    assert before == observed(store)
    assert old.claim_id != new.claim_id


def test_retaken_input_claim_fails_the_commit(store, clock):
    """
    A superseded claim on turn inputs takes the whole commit with it.
    """
    lease = acquire_lease(store)
    old = claim_input(store, lease)
    clock.advance(1000)
    store.claim_next_turn_inputs(lease.fence(), lease.owner, 1000, 10)
    before = observed(store)

    with pytest.raises(TurnInputClaimExpiredError) as caught:
        store.commit_runtime_state(
            make_commit(lease, completed_turn_input_claims=(old.completion(),))
        )

    assert ("root", old.claim_id) == (caught.value.session_id, caught.value.claim_id)
    assert before == observed(store)


@pytest.mark.parametrize("kind", ["queue", "input"])
@pytest.mark.parametrize(
    "change",
    ["token", "claim", "session", "other_id", "one_more", "one_less", "none"],
)
def test_completion_must_name_exactly_its_claim(store, kind, change):
    """
    A completion names its claim, token, session and ids exactly, or fails.
    """
    lease = acquire_lease(store)
    if kind == "queue":
        store.enqueue_queued_work(turn_work_draft(slot_policy=SlotPolicy.JOIN))
        claim = claim_queue(store, lease, slot_policy=SlotPolicy.JOIN)
        member, names, error = (
            "batch_ids",
            "completed_queue_claims",
            QueuedWorkClaimExpiredError,
        )
    else:
        store.enqueue_pending_turn_input(next_turn_draft())
        claim = claim_input(store, lease)
        member, names, error = (
            "input_ids",
            "completed_turn_input_claims",
            TurnInputClaimExpiredError,
        )
    ids = getattr(claim.completion(), member)
    assert 2 == len(ids)
    changes: dict[str, Any] = {
        "token": {"lease_token": "stale"},
        "claim": {"claim_id": "another"},
        "session": {"session_id": "elsewhere"},
        "other_id": {member: (ids[0], "unknown")},
        "one_more": {member: (*ids, "unknown")},
        "one_less": {member: ids[:1]},
        "none": {member: ()},
    }[change]
    wrong = msgspec.structs.replace(claim.completion(), **changes)
    before = observed(store)

    with pytest.raises(error):
        store.commit_runtime_state(make_commit(lease, **{names: (wrong,)}))

    assert before == observed(store)


@pytest.mark.parametrize("kind", ["queue", "input"])
def test_completed_claim_is_spent(store, kind):
    """
    A claim completes once.
    """
    lease = acquire_lease(store)
    if kind == "queue":
        claims = {"completed_queue_claims": (claim_queue(store, lease).completion(),)}
    else:
        claims = {
            "completed_turn_input_claims": (claim_input(store, lease).completion(),)
        }
    store.commit_runtime_state(make_commit(lease, **claims))

    with pytest.raises(LeaseExpiredError):
        store.commit_runtime_state(make_commit(lease, **claims))


def test_claims_outlive_the_lease_that_granted_them(store, clock):
    """
    A claim is completed under any later lease of the session.
    """
    old = acquire_lease(store, make_owner("old"), ttl_ms=100)
    work = claim_queue(store, old)
    clock.advance(100)
    new = acquire_lease(store, make_owner("new"))

    store.commit_runtime_state(
        make_commit(new, completed_queue_claims=(work.completion(),))
    )

    assert () == store.list_queued_work()


def test_interrupted_turn_defers_its_inputs(store):
    """
    Pending inputs of an interrupted turn wait for the next one, in place.
    """
    lease = acquire_lease(store)
    first = store.enqueue_pending_turn_input(
        active_turn_draft("t1", "a", source_key="k")
    )
    other = store.enqueue_pending_turn_input(active_turn_draft("t2", "b"))

    store.commit_runtime_state(make_commit(lease, interrupted_turn_input_turn_id="t1"))

    deferred, kept = store.list_pending_turn_inputs()
    assert (first.input_id, first.enqueue_seq, "k", "a", "deferred_next_turn") == (
        deferred.input_id,
        deferred.enqueue_seq,
        deferred.source_key,
        deferred.input,
        deferred.state,
    )
    assert next_turn_draft().ingress == deferred.ingress
    assert other == kept


def test_stamped_turn_defers_its_inputs(store):
    """
    The final commit of a turn leaves no input waiting for that turn.
    """
    lease = acquire_lease(store)
    store.enqueue_pending_turn_input(active_turn_draft("t1", "a"))
    other = store.enqueue_pending_turn_input(active_turn_draft("t2", "b"))

    store.commit_runtime_state(make_commit(lease).stamped("t1"))

    deferred, kept = store.list_pending_turn_inputs()
    assert ("a", "deferred_next_turn") == (deferred.input, deferred.state)
    assert other == kept


def test_unstamped_commit_defers_nothing(store):
    """
    A progress commit leaves its turn's inputs where they are.
    """
    pending = store.enqueue_pending_turn_input(active_turn_draft("t1"))

    commit_nodes(store, message_node("m1"))

    assert (pending,) == store.list_pending_turn_inputs()


def test_interruption_spares_completed_and_accepted_inputs(store):
    """
    What a turn completes stays completed; what a live claim holds stays held.
    """
    lease = acquire_lease(store)
    drafts = [active_turn_draft("t1", text) for text in "abc"]
    inputs = [store.enqueue_pending_turn_input(draft) for draft in drafts]
    done, held = (
        store.claim_active_turn_inputs(
            lease.fence(), lease.owner, "t1", CheckpointKind.AFTER_WORK, 1000, 1
        )
        for _ in range(2)
    )

    store.commit_runtime_state(
        make_commit(
            lease,
            completed_turn_input_claims=(done.completion(),),
            interrupted_turn_input_turn_id="t1",
        ).stamped("t1")
    )

    listed = store.list_pending_turn_inputs()
    assert [inputs[2].input_id] == [pending.input_id for pending in listed]
    store.commit_runtime_state(
        make_commit(lease, completed_turn_input_claims=(held.completion(),))
    )


def test_late_failure_leaves_nothing_behind(store):
    """
    A commit that fails at its last check writes none of its parts.
    """
    lease = acquire_lease(store)
    work, said = claim_queue(store, lease), claim_input(store, lease)
    store.enqueue_pending_turn_input(active_turn_draft("t1"))
    before = observed(store)
    commit = make_commit(
        lease,
        message_node("m1"),
        checkpoint=HydratedCheckpoint(tool_state={"unique": "tool state"}),
        usage_deltas=(make_usage(input_tokens=1),),
        completed_queue_claims=(work.completion(),),
        completed_turn_input_claims=(said.completion(),),
        interrupted_turn_input_turn_id="t1",
        committed_attachment_ids=("0" * 64,),
        release_session_execution_lease=lease.completion(),
    ).stamped("t1")

    with pytest.raises(AttachmentNotFoundError):
        store.commit_runtime_state(commit)

    assert before == observed(store)
    assert None is store.load_session()
    assert 0 == store.gc_unreachable().deleted_blob_count
    retried = msgspec.structs.replace(commit, committed_attachment_ids=())
    assert 1 == store.commit_runtime_state(retried).head_revision


def test_stamp_is_trusted(store):
    """
    The store takes the stamp's hash as it is given.
    """
    stamp = TurnCommitStamp(session_id="root", turn_id="t1", turn_commit_hash="mine")
    commit = make_commit(acquire_lease(store), turn_commit=stamp)

    first = store.commit_runtime_state(commit)
    again = store.commit_runtime_state(
        make_commit(acquire_lease(store), message_node("m1"), turn_commit=stamp)
    )

    assert first == again


def test_stamp_of_another_session_conflicts(store):
    """
    A stamp that names another session is a conflict that names its turn.
    """
    stamp = TurnCommitStamp(session_id="other", turn_id="t1", turn_commit_hash="h")

    with pytest.raises(TurnCommitConflictError) as caught:
        store.commit_runtime_state(make_commit(acquire_lease(store), turn_commit=stamp))

    assert ("other", "t1") == (caught.value.session_id, caught.value.turn_id)
    assert None is store.load_session()


WRONG_STAMP = TurnCommitStamp(session_id="x", turn_id="t9", turn_commit_hash="h")
OTHER_HASH = TurnCommitStamp(session_id="root", turn_id="done", turn_commit_hash="h")

# The order of a commit's checks: each row is what a commit that breaks it and
# all the later ones is refused with.
CHECKS = (
    (SessionBindingMismatchError, {"session_id": "other"}),
    (TurnCommitConflictError, {"turn_commit": WRONG_STAMP}),
    (TurnCommitConflictError, {"turn_commit": OTHER_HASH}),
    (SessionExecutionLeaseExpiredError, {"session_execution_lease": None}),
    (HeadRevisionConflictError, {"expected_head_revision": 77}),
    (QueuedWorkClaimExpiredError, {"completed_queue_claims": (NOBODYS_QUEUE_CLAIM,)}),
    (
        TurnInputClaimExpiredError,
        {"completed_turn_input_claims": (NOBODYS_INPUT_CLAIM,)},
    ),
    (UnknownNodeError, {"graph": GraphUnchanged(leaf_node_id="unknown")}),
)


@pytest.mark.parametrize("first", range(len(CHECKS)))
def test_checks_of_a_commit_have_an_order(store, first):
    """
    A commit with several faults is refused for the first in the order.
    """
    lease = acquire_lease(store)
    store.commit_runtime_state(make_commit(lease).stamped("done"))
    fields: dict[str, Any] = {}
    for _, faults in reversed(CHECKS[first:]):
        fields |= faults

    with pytest.raises(CHECKS[first][0]):
        store.commit_runtime_state(make_commit(lease, **fields))

    assert 1 == store.load_session().head_revision


def test_replaced_graph_is_one_commit(store):
    """
    Full replacement is a commit like any other.
    """
    commit_nodes(store, *message_chain("m1", "m2"))
    graph = SessionGraph(nodes=message_chain("n1", "n2"), leaf_node_id="n2")

    result = store.commit_runtime_state(
        make_commit(acquire_lease(store), graph=GraphReplace(graph=graph))
    )

    assert 2 == result.head_revision
    assert graph == store.load_session().graph


def test_large_commit_lands_whole(backend):
    """
    A commit of many nodes and a large state lands and reads back whole.
    """
    store = backend.open_store()
    nodes = message_chain(*(f"m{n}" for n in range(2000)))
    state = {"text": hashlib.sha256(b"x").hexdigest() * 20_000}

    store.commit_runtime_state(
        make_commit(
            acquire_lease(store),
            graph=GraphAppend(nodes=nodes),
            checkpoint=HydratedCheckpoint(tool_state=state),
        )
    )
    store = backend.reopen(store)

    session = store.load_session(ActivePath())
    assert nodes == session.graph.nodes
    assert state == session.checkpoint.tool_state
