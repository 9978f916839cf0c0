"""
Pending turn inputs: from enqueue to completed or cancelled, never stranded.
"""

import msgspec
import pytest

from lashstore import (
    ActiveTurnIngress,
    ActiveTurnMode,
    CancelResult,
    CheckpointKind,
    InputAlreadyCancelled,
    InputAlreadyClaimed,
    InputAlreadyCompleted,
    InputCancelled,
    InputIdTarget,
    InputNotFound,
    InvalidArgumentError,
    NextTurnIngress,
    NextTurnMode,
    PendingTurnInput,
    PendingTurnInputDraft,
    SessionBindingMismatchError,
    SessionExecutionLeaseExpiredError,
    SourceKeyConflictError,
    SourceKeyTarget,
    TurnInputClaimDiagnostics,
    TurnInputClaimExpiredError,
    TurnInputState,
)
from lashstore.testing import (
    acquire_lease,
    active_turn_draft,
    dead_owner,
    live_owner,
    make_commit,
    make_owner,
    next_turn_draft,
)

AFTER_WORK = CheckpointKind.AFTER_WORK
BEFORE_COMPLETION = CheckpointKind.BEFORE_COMPLETION
PENDING = TurnInputState.PENDING_ACTIVE
DEFERRED = TurnInputState.DEFERRED_NEXT_TURN
ACCEPTED = TurnInputState.ACCEPTED
CANCELLED = TurnInputState.CANCELLED
COMPLETED = TurnInputState.COMPLETED
REPLACE = msgspec.structs.replace
OWNER = make_owner("claimer")


def claim_active(
    store, turn_id="t1", checkpoint=AFTER_WORK, *, ttl_ms=1000, limit=100, owner=OWNER
):
    """
    Claim a running turn's inputs under a long lease.
    """
    return store.claim_active_turn_inputs(
        acquire_lease(store).fence(), owner, turn_id, checkpoint, ttl_ms, limit
    )


def claim_next(store, *, ttl_ms=1000, limit=100, owner=OWNER):
    """
    Claim the next turn's inputs under a long lease.
    """
    return store.claim_next_turn_inputs(
        acquire_lease(store).fence(), owner, ttl_ms, limit
    )


def complete(store, claim):
    """
    Complete a claim in a commit.
    """
    store.commit_runtime_state(
        make_commit(
            acquire_lease(store), completed_turn_input_claims=(claim.completion(),)
        )
    )


def texts(claim_or_inputs):
    """
    What the inputs of a claim or list say; None for no claim.
    """
    if claim_or_inputs is None:
        return None
    inputs = getattr(claim_or_inputs, "inputs", claim_or_inputs)
    return [pending.input for pending in inputs]


def say_now(store, *wanted, turn_id="t1", **fields):
    """
    Enqueue one input for a running turn for each text.
    """
    return [
        store.enqueue_pending_turn_input(active_turn_draft(turn_id, text, **fields))
        for text in wanted
    ]


def say_next(store, *wanted, **fields):
    """
    Enqueue one input for the next turn for each text.
    """
    return [
        store.enqueue_pending_turn_input(next_turn_draft(text, **fields))
        for text in wanted
    ]


def by_id(pending):
    """
    The target that names an input.
    """
    return InputIdTarget(input_id=pending.input_id)


def cancel(store, pending):
    """
    Cancel one input by its id.
    """
    return store.cancel_pending_turn_input(by_id(pending))


@pytest.mark.parametrize(
    ("ingress", "state"),
    [
        (ActiveTurnIngress(turn_id="t/1"), PENDING),
        (ActiveTurnIngress(turn_id="t", min_boundary=BEFORE_COMPLETION), PENDING),
        (NextTurnIngress(), DEFERRED),
    ],
    ids=str,
)
def test_input_reads_back(backend, clock, ingress, state):
    """
    An input is stored whole; its ingress decides the state it starts in.
    """
    store = backend.open_store()
    said = {"items": [{"type": "text", "text": "é\0"}], "n": [1, None]}
    stored = store.enqueue_pending_turn_input(
        PendingTurnInputDraft(
            ingress=ingress, input=said, input_id="my id", source_key="key"
        )
    )
    store = backend.reopen(store)

    expected = PendingTurnInput(
        input_id="my id",
        session_id="root",
        enqueue_seq=stored.enqueue_seq,
        source_key="key",
        ingress=ingress,
        state=state,
        enqueued_at_ms=clock.now_ms(),
        input=said,
    )
    assert expected == stored
    assert (expected,) == store.list_pending_turn_inputs()


def test_input_ids_are_distinct_on_a_frozen_clock(backend):
    """
    Ids are random: inputs of one instant, from two handles, all differ.
    """
    stores = [backend.open_store(), backend.open_store()]
    inputs = [
        store.enqueue_pending_turn_input(next_turn_draft())
        for _ in range(50)
        for store in stores
    ]

    assert 100 == len({pending.input_id for pending in inputs})
    assert 100 == len({pending.enqueue_seq for pending in inputs})


def test_lists_are_in_enqueue_order(store):
    """
    Pending inputs of all kinds are listed as they came.
    """
    say_next(store, 1)
    say_now(store, 2)
    say_next(store, 3)
    say_now(store, 4, turn_id="t2")

    assert [1, 2, 3, 4] == texts(store.list_pending_turn_inputs())


@pytest.mark.parametrize("state", ["pending", "deferred", "cancelled", "completed"])
@pytest.mark.parametrize("key", [None, "k"])
def test_taken_input_id_is_refused(store, state, key):
    """
    An explicit id is given once, whatever became of its input.
    """
    if state == "pending":
        say_now(store, "a", input_id="i")
    else:
        (first,) = say_next(store, "a", input_id="i")
        if state == "cancelled":
            cancel(store, first)
        elif state == "completed":
            complete(store, claim_next(store))
    before = store.list_pending_turn_inputs()

    with pytest.raises(InvalidArgumentError):
        say_next(store, "b", input_id="i", source_key=key)

    assert before == store.list_pending_turn_inputs()


def test_source_key_makes_a_submission_repeatable(backend):
    """
    The same key and content again return the stored input.
    """
    store = backend.open_store()
    (first,) = say_next(store, {"a": 1, "b": 2}, source_key="k")
    store = backend.reopen(store)

    (again,) = say_next(store, {"b": 2, "a": 1}, source_key="k", input_id="ignored")

    assert first == again
    assert (first,) == store.list_pending_turn_inputs()


@pytest.mark.parametrize("state", [ACCEPTED, CANCELLED, COMPLETED])
def test_repeated_submission_returns_the_current_state(store, state):
    """
    A replayed submission tells what became of the input.
    """
    (first,) = say_now(store, "a", source_key="k")
    if state is CANCELLED:
        cancel(store, first)
    else:
        claim = claim_active(store)
        if state is COMPLETED:
            complete(store, claim)

    (again,) = say_now(store, "a", source_key="k")

    assert REPLACE(first, state=state) == again


@pytest.mark.parametrize(
    "other",
    [
        next_turn_draft("a", source_key="k"),
        active_turn_draft("t2", "a", source_key="k"),
        active_turn_draft("t1", "a", source_key="k", min_boundary=BEFORE_COMPLETION),
        active_turn_draft("t1", "b", source_key="k"),
        active_turn_draft("t1", ["a"], source_key="k"),
    ],
    ids=["ingress", "turn", "boundary", "text", "shape"],
)
def test_source_key_with_other_content_conflicts(store, other):
    """
    A key with another ingress or input is a conflict that names the stored one.
    """
    (first,) = say_now(store, "a", source_key="k")

    with pytest.raises(SourceKeyConflictError) as caught:
        store.enqueue_pending_turn_input(other)

    assert ("root", "k", first.input_id) == (
        caught.value.session_id,
        caught.value.source_key,
        caught.value.existing_input_id,
    )
    assert (first,) == store.list_pending_turn_inputs()


@pytest.mark.parametrize("how", ["interrupted", "stamped", "redeferred"])
def test_deferral_does_not_break_a_repeated_submission(store, how):
    """
    A replay is compared with what was submitted, not with what became of it.
    """
    (first,) = say_now(store, "a", source_key="k", min_boundary=BEFORE_COMPLETION)
    lease = acquire_lease(store)
    if how == "interrupted":
        store.commit_runtime_state(
            make_commit(lease, interrupted_turn_input_turn_id="t1")
        )
    elif how == "stamped":
        store.commit_runtime_state(make_commit(lease).stamped("t1"))
    else:
        store.redefer_orphaned_turn_inputs(lease.fence())

    (again,) = say_now(store, "a", source_key="k", min_boundary=BEFORE_COMPLETION)

    assert REPLACE(first, ingress=NextTurnIngress(), state=DEFERRED) == again
    with pytest.raises(SourceKeyConflictError):
        say_next(store, "a", source_key="k")


def test_key_conflict_comes_before_the_taken_id(store):
    """
    A draft whose key and id are both taken is refused for its key.
    """
    say_next(store, "a", source_key="k", input_id="i")

    with pytest.raises(SourceKeyConflictError):
        say_next(store, "b", source_key="k", input_id="i")


def test_sessions_do_not_share_keys_and_ids(backend):
    """
    Keys and ids belong to their session.
    """
    store, other = backend.open_store(), backend.open_store("other")
    say_next(store, "a", source_key="k", input_id="i")
    say_next(other, "b", source_key="k", input_id="i")

    assert ["a"] == texts(store.list_pending_turn_inputs())
    assert ["b"] == texts(other.list_pending_turn_inputs())


@pytest.mark.parametrize(
    "draft",
    [
        next_turn_draft(float("nan")),
        next_turn_draft({"x": ["\ud800"]}),
        next_turn_draft({1: 2}),
        next_turn_draft({1, 2}),
        next_turn_draft(input_id="a\0b"),
        next_turn_draft(input_id="\ud800"),
        next_turn_draft(source_key="a\0b"),
        next_turn_draft(source_key="\ud800"),
        active_turn_draft("a\0b"),
        active_turn_draft("\ud800"),
        PendingTurnInputDraft(ingress="next_turn", input=""),
        PendingTurnInputDraft(ingress=None, input=""),
    ],
    ids=lambda _: None,
)
def test_draft_that_cannot_be_stored(store, draft):
    """
    What cannot be stored is refused, and nothing is written.
    """
    with pytest.raises(InvalidArgumentError):
        store.enqueue_pending_turn_input(draft)

    assert () == store.list_pending_turn_inputs()


def test_claim_of_a_running_turn(backend, clock):
    """
    A claimed active input is accepted, out of the list, and in the claim.
    """
    store = backend.open_store()
    (first,) = say_now(store, "a")

    claim = claim_active(store, ttl_ms=250)
    store = backend.reopen(store)

    assert ("root", OWNER, 1) == (claim.session_id, claim.owner, claim.fencing_token)
    assert (clock.now_ms(), clock.now_ms() + 250) == (
        claim.claimed_at_ms,
        claim.expires_at_ms,
    )
    assert ActiveTurnMode(turn_id="t1", checkpoint=AFTER_WORK) == claim.mode
    assert (REPLACE(first, state=ACCEPTED),) == claim.inputs
    assert () == store.list_pending_turn_inputs()
    assert ("root", claim.claim_id, claim.lease_token, (first.input_id,)) == (
        claim.completion().session_id,
        claim.completion().claim_id,
        claim.completion().lease_token,
        claim.completion().input_ids,
    )


def test_claim_of_the_next_turn(backend):
    """
    A claimed next-turn input keeps its state and is out of the list.
    """
    store = backend.open_store()
    inputs = say_next(store, "a", "b")

    claim = claim_next(store)
    store = backend.reopen(store)

    assert NextTurnMode() == claim.mode
    assert tuple(inputs) == claim.inputs
    assert () == store.list_pending_turn_inputs()


def test_nothing_to_claim(store):
    """
    No matching input gives no claim.
    """
    assert None is claim_active(store)
    assert None is claim_next(store)
    say_now(store, "a")
    assert None is claim_next(store)
    assert None is claim_active(store, "t2")


@pytest.mark.parametrize(
    ("boundary", "checkpoint", "is_admitted"),
    [
        (AFTER_WORK, AFTER_WORK, True),
        (AFTER_WORK, BEFORE_COMPLETION, True),
        (BEFORE_COMPLETION, AFTER_WORK, False),
        (BEFORE_COMPLETION, BEFORE_COMPLETION, True),
    ],
)
def test_boundary_admits_checkpoints(store, boundary, checkpoint, is_admitted):
    """
    An input waits for the boundary it names.
    """
    say_now(store, "a", min_boundary=boundary)

    claim = claim_active(store, checkpoint=checkpoint)

    assert is_admitted is (claim is not None)


def test_inputs_that_do_not_match_bar_nothing(store):
    """
    Other turns' and later boundaries' inputs are passed over.
    """
    say_now(store, 1, turn_id="t2")
    say_now(store, 2, min_boundary=BEFORE_COMPLETION)
    say_now(store, 3)
    say_next(store, 4)
    say_now(store, 5)

    assert [3, 5] == texts(claim_active(store))
    assert [4] == texts(claim_next(store))
    assert [2] == texts(claim_active(store, checkpoint=BEFORE_COMPLETION))


def test_limit_of_a_claim(store):
    """
    No more inputs than asked for, the oldest first.
    """
    say_next(store, 1, 2, 3)
    say_now(store, 4, 5, 6)

    assert [1, 2] == texts(claim_next(store, limit=2))
    assert [3] == texts(claim_next(store, limit=2))
    assert [4, 5] == texts(claim_active(store, limit=2))


def test_claim_of_nothing_needs_no_lease(store, clock):
    """
    Asking for no input is answered before the fence is looked at.
    """
    say_next(store, "a")
    fence = acquire_lease(store, ttl_ms=1).fence()
    clock.advance(1)

    assert None is store.claim_next_turn_inputs(fence, OWNER, 1000, 0)
    assert None is store.claim_active_turn_inputs(
        fence, OWNER, "t1", AFTER_WORK, 1000, 0
    )


def test_claims_need_the_lease(store, clock):
    """
    No claim and no redeferral without a live, exact fence.
    """
    say_next(store, "a")
    say_now(store, "b")
    fence = acquire_lease(store, ttl_ms=1000).fence()

    def refused(one):
        for call in (
            lambda: store.claim_next_turn_inputs(one, OWNER, 1000, 1),
            lambda: store.claim_active_turn_inputs(
                one, OWNER, "t1", AFTER_WORK, 1000, 1
            ),
            lambda: store.redefer_orphaned_turn_inputs(one),
        ):
            with pytest.raises(SessionExecutionLeaseExpiredError):
                call()

    refused(REPLACE(fence, lease_token="stale"))
    refused(REPLACE(fence, fencing_token=9))
    refused(REPLACE(fence, owner=make_owner("other")))
    refused(REPLACE(fence, session_id="other"))
    clock.advance(1000)
    refused(fence)
    assert ["a", "b"] == texts(store.list_pending_turn_inputs())


@pytest.mark.parametrize("number", [-1, 2**63, 1.5, None], ids=repr)
def test_claim_with_a_ttl_out_of_range(store, number):
    """
    A length of a claim outside the range of counters is refused.
    """
    say_next(store, "a")
    fence, claim = acquire_lease(store).fence(), claim_next(store)

    for call in (
        lambda: store.claim_next_turn_inputs(fence, OWNER, number, 1),
        lambda: store.claim_active_turn_inputs(
            fence, OWNER, "t1", AFTER_WORK, number, 1
        ),
        lambda: store.renew_turn_input_claim(claim, number),
    ):
        with pytest.raises(InvalidArgumentError):
            call()


def test_negative_number_of_inputs(store):
    """
    A negative limit is refused.
    """
    with pytest.raises(InvalidArgumentError):
        claim_next(store, limit=-1)
    with pytest.raises(InvalidArgumentError):
        claim_active(store, limit=-1)


def test_own_claim_is_not_given_twice(store):
    """
    The owner of a live claim cannot claim its inputs again.
    """
    say_next(store, "a")
    say_now(store, "b")
    claim_next(store)
    claim_active(store)

    assert None is claim_next(store)
    assert None is claim_active(store)


def test_expired_next_turn_claim_is_free(store, clock):
    """
    A next-turn input is pending again once its claim expires.
    """
    (first,) = say_next(store, "a")
    old = claim_next(store, ttl_ms=100)
    clock.advance(99)
    assert () == store.list_pending_turn_inputs()
    clock.advance(1)
    assert (first,) == store.list_pending_turn_inputs()

    new = claim_next(store)

    assert (1, 2) == (old.fencing_token, new.fencing_token)
    assert old.lease_token != new.lease_token
    assert old.claim_id != new.claim_id
    with pytest.raises(TurnInputClaimExpiredError):
        complete(store, old)


def test_accepted_input_is_not_lost_with_its_claim(store, clock):
    """
    An accepted input whose claim expired is listed and claimable by its turn.
    """
    (first,) = say_now(store, "a")
    claim_active(store, ttl_ms=100)
    clock.advance(100)

    assert [first.input_id] == [
        pending.input_id for pending in store.list_pending_turn_inputs()
    ]
    assert None is claim_active(store, "t2")
    again = claim_active(store, "t1")
    assert (2, ["a"]) == (again.fencing_token, texts(again))
    complete(store, again)
    assert () == store.list_pending_turn_inputs()


def test_accepted_input_with_an_expired_claim_is_cancellable(store, clock):
    """
    A claim that ran out does not keep an input from being cancelled.
    """
    (first,) = say_now(store, "a")
    claim = claim_active(store, ttl_ms=100)
    clock.advance(100)

    assert InputCancelled(input=REPLACE(first, state=CANCELLED)) == cancel(store, first)
    with pytest.raises(TurnInputClaimExpiredError):
        complete(store, claim)


def test_claim_of_the_dead_is_taken(store):
    """
    A claim whose holder is provably dead is free at once.
    """
    say_next(store, "a")
    say_now(store, "b")
    claim_next(store, owner=dead_owner(), ttl_ms=10**6)
    claim_active(store, owner=dead_owner(), ttl_ms=10**6)
    assert None is claim_next(store)

    assert ["a"] == texts(claim_next(store, owner=live_owner()))


@pytest.mark.parametrize("mode", ["active", "next"])
def test_renewal_extends_all_inputs(backend, clock, mode):
    """
    A renewed claim ends later, for each of its inputs.
    """
    store = backend.open_store()
    say_now(store, 1, 2)
    say_next(store, 1, 2)
    claim = (claim_active if mode == "active" else claim_next)(store, ttl_ms=100)
    clock.advance(99)

    renewed = store.renew_turn_input_claim(claim, 100)
    store = backend.reopen(store)
    clock.advance(99)

    assert REPLACE(claim, expires_at_ms=clock.now_ms() + 1) == renewed
    assert 2 == len(store.list_pending_turn_inputs())
    clock.advance(1)
    assert 4 == len(store.list_pending_turn_inputs())


def test_renewal_never_shortens(store):
    """
    A shorter renewal leaves the claim as long as it was.
    """
    say_next(store, "a")
    claim = claim_next(store, ttl_ms=1000)

    assert claim == store.renew_turn_input_claim(claim, 1)


def test_expired_claim_is_not_renewed(store, clock):
    """
    A claim is renewable until it expires.
    """
    say_next(store, "a")
    claim = claim_next(store, ttl_ms=100)
    clock.advance(100)

    with pytest.raises(TurnInputClaimExpiredError) as caught:
        store.renew_turn_input_claim(claim, 100)

    assert ("root", claim.claim_id) == (caught.value.session_id, caught.value.claim_id)


@pytest.mark.parametrize(
    "changes",
    [{"lease_token": "stale"}, {"claim_id": "another"}, {"session_id": "other"}],
    ids=str,
)
def test_renewal_must_match(store, changes):
    """
    A claim that differs renews nothing.
    """
    say_next(store, "a")
    claim = claim_next(store)

    with pytest.raises(TurnInputClaimExpiredError):
        store.renew_turn_input_claim(REPLACE(claim, **changes), 1000)


def test_abandoned_active_input_is_pending_again(backend):
    """
    Abandoning gives an accepted input back to its turn.
    """
    store = backend.open_store()
    (first,) = say_now(store, "a")
    store.abandon_turn_input_claim(claim_active(store))
    store = backend.reopen(store)

    assert (first,) == store.list_pending_turn_inputs()
    assert 2 == claim_active(store).fencing_token


def test_abandoned_next_input_is_pending_again(store):
    """
    Abandoning gives a next-turn input back to the list.
    """
    (first,) = say_next(store, "a")
    store.abandon_turn_input_claim(claim_next(store))

    assert (first,) == store.list_pending_turn_inputs()
    assert 2 == claim_next(store).fencing_token


def test_stale_abandon_changes_nothing(store):
    """
    Abandoning twice, or what another one holds, is a no-op.
    """
    say_next(store, "a")
    old = claim_next(store)
    store.abandon_turn_input_claim(old)
    claim_next(store)

    store.abandon_turn_input_claim(old)

    assert None is claim_next(store)


def test_abandon_for_another_session(store):
    """
    Another session's claim is refused by name.
    """
    say_next(store, "a")
    claim = claim_next(store)

    with pytest.raises(SessionBindingMismatchError):
        store.abandon_turn_input_claim(REPLACE(claim, session_id="other"))

    assert None is claim_next(store)


def test_completed_input_is_final(backend):
    """
    A completed input is listed, claimed and cancelled no more.
    """
    store = backend.open_store()
    (first,) = say_next(store, "a")
    claim = claim_next(store)
    complete(store, claim)
    store = backend.reopen(store)

    assert () == store.list_pending_turn_inputs()
    assert None is claim_next(store)
    assert InputAlreadyCompleted(input=REPLACE(first, state=COMPLETED)) == cancel(
        store, first
    )
    store.abandon_turn_input_claim(claim)
    assert () == store.list_pending_turn_inputs()


def test_cancelled_input_is_final(backend):
    """
    A cancelled input keeps its ingress, and is listed and claimed no more.
    """
    store = backend.open_store()
    (first,) = say_now(store, "a")
    gone = REPLACE(first, state=CANCELLED)

    assert InputCancelled(input=gone) == cancel(store, first)
    store = backend.reopen(store)
    assert InputAlreadyCancelled(input=gone) == cancel(store, first)
    assert () == store.list_pending_turn_inputs()
    assert None is claim_active(store)


def test_unknown_input_is_not_found(store):
    """
    No such id or key is an answer.
    """
    say_next(store, "a", source_key="k", input_id="i")

    for target in (InputIdTarget(input_id="k"), SourceKeyTarget(source_key="i")):
        assert InputNotFound() == store.cancel_pending_turn_input(target)


def test_cancel_by_source_key(store):
    """
    An input may be named by the key it was submitted under.
    """
    (first,) = say_next(store, "a", source_key="k")

    outcome = store.cancel_pending_turn_input(SourceKeyTarget(source_key="k"))

    assert InputCancelled(input=REPLACE(first, state=CANCELLED)) == outcome


@pytest.mark.parametrize("mode", ["active", "next"])
def test_claimed_input_is_not_cancelled(store, mode):
    """
    A live claim is reported with its owner, end and fence.
    """
    if mode == "active":
        (first,) = say_now(store, "a")
        claim, state = claim_active(store), ACCEPTED
    else:
        (first,) = say_next(store, "a")
        claim, state = claim_next(store), DEFERRED

    outcome = cancel(store, first)

    assert (
        InputAlreadyClaimed(
            input=REPLACE(first, state=state),
            claim=TurnInputClaimDiagnostics(
                state=state,
                claim_id=claim.claim_id,
                claim_owner=OWNER,
                claim_expires_at_ms=claim.expires_at_ms,
                claim_fencing_token=1,
            ),
        )
        == outcome
    )
    complete(store, claim)


def test_expired_next_turn_claim_does_not_protect(store, clock):
    """
    A next-turn input is cancellable once its claim expired.
    """
    (first,) = say_next(store, "a")
    claim_next(store, ttl_ms=100)
    clock.advance(100)

    assert isinstance(cancel(store, first), InputCancelled)
    assert None is claim_next(store)


def test_bulk_cancel_answers_in_order(store):
    """
    Each target gets its answer, a repeated one the second answer.
    """
    held, free = say_next(store, "held", "free")
    claim_next(store, limit=1)
    (keyed,) = say_now(store, "keyed", source_key="k")
    targets = (
        by_id(free),
        InputIdTarget(input_id="unknown"),
        by_id(held),
        SourceKeyTarget(source_key="k"),
        by_id(keyed),
        by_id(free),
    )

    results = store.cancel_pending_turn_inputs(targets)

    assert targets == tuple(result.target for result in results)
    assert [
        InputCancelled,
        InputNotFound,
        InputAlreadyClaimed,
        InputCancelled,
        InputAlreadyCancelled,
        InputAlreadyCancelled,
    ] == [type(result.outcome) for result in results]
    assert (
        CancelResult(
            target=by_id(free),
            outcome=InputCancelled(input=REPLACE(free, state=CANCELLED)),
        )
        == results[0]
    )


def test_bulk_cancel_of_nothing(store):
    """
    No target, no answer.
    """
    say_next(store, "a")

    assert () == store.cancel_pending_turn_inputs([])
    assert ["a"] == texts(store.list_pending_turn_inputs())


def test_bad_target_cancels_nothing(store):
    """
    A bulk cancel with a target that can name nothing changes nothing.
    """
    (first,) = say_next(store, "a")

    for bad in (
        "text",
        InputIdTarget(input_id="a\0b"),
        SourceKeyTarget(source_key="\ud800"),
    ):
        with pytest.raises(InvalidArgumentError):
            store.cancel_pending_turn_inputs([by_id(first), bad])

    assert (first,) == store.list_pending_turn_inputs()


def test_suffix_cancel(backend):
    """
    A suffix is every input from the anchor on, in all states, in order.
    """
    store = backend.open_store()
    (before,) = say_now(store, 0)
    (done,) = say_next(store, 1)
    complete(store, claim_next(store))
    (held,) = say_next(store, 2)
    claim_next(store)
    (gone,) = say_next(store, 3, source_key="k")
    cancel(store, gone)
    (active,) = say_now(store, 4)
    (last,) = say_next(store, 5)
    store = backend.reopen(store)

    outcomes = store.cancel_pending_turn_input_suffix(by_id(done))

    assert [
        (InputAlreadyCompleted, done.input_id),
        (InputAlreadyClaimed, held.input_id),
        (InputAlreadyCancelled, gone.input_id),
        (InputCancelled, active.input_id),
        (InputCancelled, last.input_id),
    ] == [(type(outcome), outcome.input.input_id) for outcome in outcomes]
    assert (before,) == store.list_pending_turn_inputs()
    assert 3 == len(
        store.cancel_pending_turn_input_suffix(SourceKeyTarget(source_key="k"))
    )


def test_suffix_of_an_unknown_anchor(store):
    """
    Without the anchor nothing is cancelled.
    """
    say_next(store, "a")

    assert None is store.cancel_pending_turn_input_suffix(InputIdTarget(input_id="x"))
    assert None is store.cancel_pending_turn_input_suffix(
        SourceKeyTarget(source_key="x")
    )
    assert ["a"] == texts(store.list_pending_turn_inputs())


def test_redefer_moves_orphans_to_the_next_turn(backend):
    """
    Pending and accepted inputs of dead turns wait for the next turn, in place.
    """
    store = backend.open_store()
    pending, held = say_now(store, "pending", "held", turn_id="dead")
    (expired,) = say_now(store, "other", turn_id="deader")
    (live,) = say_now(store, "live", turn_id="live")
    (later,) = say_next(store, "next")
    lease = acquire_lease(store)
    claim = store.claim_active_turn_inputs(
        lease.fence(), OWNER, "dead", AFTER_WORK, 10**6, 1
    )
    assert (pending.input_id,) == claim.completion().input_ids

    moved = store.redefer_orphaned_turn_inputs(lease.fence(), live_turn_ids=["live"])
    store = backend.reopen(store)

    def deferred(one):
        return REPLACE(one, ingress=NextTurnIngress(), state=DEFERRED)

    expected = (deferred(pending), deferred(held), deferred(expired))
    assert expected == tuple(sorted(moved, key=lambda one: one.enqueue_seq))
    assert (*expected, live, later) == store.list_pending_turn_inputs()


def test_redefer_ends_claims(store):
    """
    A live claim on a redeferred input completes nothing any more.
    """
    say_now(store, "a")
    claim = claim_active(store, ttl_ms=10**6)
    store.redefer_orphaned_turn_inputs(acquire_lease(store).fence())

    with pytest.raises(TurnInputClaimExpiredError):
        complete(store, claim)
    with pytest.raises(TurnInputClaimExpiredError):
        store.renew_turn_input_claim(claim, 1000)
    store.abandon_turn_input_claim(claim)
    again = claim_next(store)
    assert ["a"] == texts(again)
    complete(store, again)


def test_redefer_spares_final_and_next_turn_inputs(store):
    """
    Completed, cancelled and next-turn inputs stay what they are.
    """
    say_now(store, "done")
    complete(store, claim_active(store))
    (gone,) = say_now(store, "gone")
    cancel(store, gone)
    say_next(store, "next")
    held = claim_next(store)

    assert () == store.redefer_orphaned_turn_inputs(acquire_lease(store).fence())
    assert isinstance(cancel(store, gone), InputAlreadyCancelled)
    complete(store, held)


def test_redefer_takes_what_a_dead_claim_left(store, clock):
    """
    An accepted input whose claim expired goes to the next turn, too.
    """
    say_now(store, "a")
    claim_active(store, ttl_ms=100)
    clock.advance(100)

    assert ["a"] == texts(
        store.redefer_orphaned_turn_inputs(acquire_lease(store).fence())
    )
    assert ["a"] == texts(claim_next(store))


def test_redefer_keeps_the_place_in_the_queue(store):
    """
    A redeferred input comes before those that were admitted after it.
    """
    say_now(store, "first")
    say_next(store, "second")
    store.redefer_orphaned_turn_inputs(acquire_lease(store).fence())

    assert ["first", "second"] == texts(claim_next(store))


def test_redefer_is_idempotent(store):
    """
    What is deferred is not deferred again.
    """
    say_now(store, "a")
    fence = acquire_lease(store).fence()

    assert ["a"] == texts(store.redefer_orphaned_turn_inputs(fence))
    assert () == store.redefer_orphaned_turn_inputs(fence)


def test_inputs_of_other_turns_do_not_hide_mine(store):
    """
    However many inputs wait for other turns, mine is found.
    """
    say_now(store, *range(150), turn_id="t2")
    say_now(store, "mine")

    assert ["mine"] == texts(claim_active(store, limit=1))


def test_claimed_inputs_do_not_hide_the_rest(store):
    """
    However many inputs are held, the next one is found.
    """
    say_next(store, *range(150))
    claim_next(store, limit=150, ttl_ms=10**6)
    say_next(store, "last")

    assert ["last"] == texts(claim_next(store, limit=1))


def test_claim_ids_and_tokens_are_fresh(store):
    """
    No two claims share an id or a token on a frozen clock.
    """
    claims = []
    for text in "abcd":
        say_next(store, text)
        claims.append(claim_next(store))
        complete(store, claims[-1])

    assert 4 == len({claim.claim_id for claim in claims})
    assert 4 == len({claim.lease_token for claim in claims})


def test_vacuum_frees_the_key(store):
    """
    A final input is the evidence for its key until it is vacuumed.
    """
    (first,) = say_next(store, "a", source_key="k")
    cancel(store, first)
    store.vacuum()

    (second,) = say_next(store, "other", source_key="k")

    assert first.input_id != second.input_id
    assert first.enqueue_seq < second.enqueue_seq
    assert InputNotFound() == cancel(store, first)
