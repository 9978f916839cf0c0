"""
Queued work: durable batches, claimed in order, gone once committed.
"""

import msgspec
import pytest

from lashstore import (
    DeliveryPolicy,
    InvalidArgumentError,
    MergeGroup,
    MergeNever,
    MergePayloadDefault,
    ProcessWakePayload,
    QueuedWorkBatch,
    QueuedWorkBatchDraft,
    QueuedWorkBoundary,
    QueuedWorkClaimExpiredError,
    QueuedWorkClass,
    SessionBindingMismatchError,
    SessionCommandPayload,
    SessionExecutionLeaseExpiredError,
    SlotPolicy,
    TurnWorkPayload,
)
from lashstore.testing import (
    acquire_lease,
    command_draft,
    dead_owner,
    live_owner,
    make_commit,
    make_owner,
    make_wake,
    next_turn_draft,
    turn_work_draft,
)

IDLE = QueuedWorkBoundary.IDLE
CHECKPOINT = QueuedWorkBoundary.ACTIVE_TURN_CHECKPOINT
JOIN = SlotPolicy.JOIN
LATER = DeliveryPolicy.AFTER_CURRENT_TURN_COMMIT
REPLACE = msgspec.structs.replace
OWNER = make_owner("claimer")


def claim(store, boundary=IDLE, *, ttl_ms=1000, max_batches=100, owner=OWNER):
    """
    Claim ready work under a long lease.
    """
    return store.claim_ready_queued_work(
        acquire_lease(store).fence(), owner, boundary, ttl_ms, max_batches
    )


def claim_command(store, *, ttl_ms=1000, owner=OWNER):
    """
    Claim a leading command under a long lease.
    """
    return store.claim_leading_ready_session_command(
        acquire_lease(store).fence(), owner, ttl_ms
    )


def claim_by_ids(store, ids, boundary=IDLE):
    """
    Claim named batches under a long lease.
    """
    return store.claim_ready_queued_work_by_batch_ids(
        acquire_lease(store).fence(), OWNER, boundary, 1000, ids
    )


def complete(store, *claims):
    """
    Complete claims in a commit.
    """
    store.commit_runtime_state(
        make_commit(
            acquire_lease(store),
            completed_queue_claims=tuple(claim.completion() for claim in claims),
        )
    )


def bodies(claim_or_none):
    """
    The bodies of a claim's payloads; None for no claim.
    """
    if claim_or_none is None:
        return None
    return [
        item.payload.body for batch in claim_or_none.batches for item in batch.items
    ]


def enqueue(store, *wanted, **fields):
    """
    Enqueue one batch for each body.
    """
    return [
        store.enqueue_queued_work(turn_work_draft(body, **fields)) for body in wanted
    ]


def test_batch_reads_back(backend, clock):
    """
    A batch is stored with all its members, its items in order.
    """
    store = backend.open_store()
    payloads = (
        TurnWorkPayload(body={"n": [1, None, "é"]}),
        ProcessWakePayload(wake=make_wake(process_caused_by={"type": "turn"})),
        TurnWorkPayload(body=None),
    )
    batch = store.enqueue_queued_work(
        QueuedWorkBatchDraft(
            payloads=payloads,
            delivery_policy=LATER,
            slot_policy=JOIN,
            merge_key=MergeGroup(group="g"),
            source_key="key",
            available_at_ms=5,
        )
    )
    store = backend.reopen(store)

    assert isinstance(batch, QueuedWorkBatch)
    assert ("root", "key", LATER, JOIN, MergeGroup(group="g"), 5, clock.now_ms()) == (
        batch.session_id,
        batch.source_key,
        batch.delivery_policy,
        batch.slot_policy,
        batch.merge_key,
        batch.available_at_ms,
        batch.enqueued_at_ms,
    )
    assert payloads == tuple(item.payload for item in batch.items)
    assert [f"{batch.batch_id}:item:{n}" for n in range(3)] == [
        item.item_id for item in batch.items
    ]
    assert (batch,) == store.list_queued_work()
    assert (batch,) == store.list_pending_queued_work()


def test_defaults_of_a_batch(store):
    """
    A plain draft is exclusive, merges with nothing and is ready at once.
    """
    batch = store.enqueue_queued_work(turn_work_draft())

    assert (
        None,
        DeliveryPolicy.EARLIEST_SAFE_BOUNDARY,
        SlotPolicy.EXCLUSIVE,
        MergeNever(),
        0,
    ) == (
        batch.source_key,
        batch.delivery_policy,
        batch.slot_policy,
        batch.merge_key,
        batch.available_at_ms,
    )


def test_work_class_is_of_the_payloads(store):
    """
    Commands are session commands; wakes and host work are turn work.
    """
    command = store.enqueue_queued_work(command_draft())
    work = store.enqueue_queued_work(turn_work_draft())
    wake = store.enqueue_queued_work(
        QueuedWorkBatchDraft(payloads=(ProcessWakePayload(wake=make_wake()),))
    )

    assert QueuedWorkClass.SESSION_COMMAND is command.work_class
    assert QueuedWorkClass.TURN_WORK is work.work_class
    assert QueuedWorkClass.TURN_WORK is wake.work_class


def test_lists_are_in_enqueue_order(store):
    """
    Batches are listed as they were enqueued, ready or not.
    """
    enqueue(store, 1, available_at_ms=2**60)
    enqueue(store, 2, 3)

    listed = store.list_queued_work()

    assert [1, 2, 3] == [batch.items[0].payload.body for batch in listed]
    assert sorted(batch.enqueue_seq for batch in listed) == [
        batch.enqueue_seq for batch in listed
    ]
    assert listed == store.list_pending_queued_work()


def test_batches_and_inputs_share_a_sequence(store):
    """
    One admission sequence orders batches and inputs alike.
    """
    admitted = [
        store.enqueue_queued_work(turn_work_draft()),
        store.enqueue_pending_turn_input(next_turn_draft()),
        store.enqueue_queued_work(command_draft()),
        store.enqueue_pending_turn_input(next_turn_draft()),
    ]

    numbers = [one.enqueue_seq for one in admitted]
    assert sorted(set(numbers)) == numbers


def test_sequence_numbers_are_never_reused(backend):
    """
    A number whose row is gone is not given again.
    """
    store = backend.open_store()
    numbers = []
    for _ in range(3):
        batch = store.enqueue_queued_work(turn_work_draft())
        numbers.append(batch.enqueue_seq)
        store.cancel_queued_work_batch(batch.batch_id)
        store = backend.reopen(store)

    assert sorted(set(numbers)) == numbers


def test_ids_are_distinct_on_a_frozen_clock(backend):
    """
    Ids are random: enqueues of one instant, from two handles, all differ.
    """
    stores = [backend.open_store(), backend.open_store()]
    batches = [
        store.enqueue_queued_work(turn_work_draft())
        for _ in range(100)
        for store in stores
    ]

    assert 200 == len({batch.batch_id for batch in batches})
    assert 200 == len({batch.enqueue_seq for batch in batches})


def test_keyless_enqueue_is_a_new_batch(store):
    """
    Without a source key every enqueue is a batch of its own.
    """
    enqueue(store, 1, 1)

    assert 2 == len(store.list_queued_work())


def test_source_key_names_its_batch(backend):
    """
    The same key again returns the stored batch, whatever its payload.
    """
    store = backend.open_store()
    first = store.enqueue_queued_work(turn_work_draft(1, source_key="k"))
    store = backend.reopen(store)

    again = store.enqueue_queued_work(
        turn_work_draft(2, source_key="k", slot_policy=JOIN)
    )
    command = store.enqueue_queued_work(command_draft(source_key="k"))

    assert first == again == command
    assert (first,) == store.list_queued_work()


def test_source_key_names_its_batch_while_claimed(store):
    """
    A claim does not free the key.
    """
    first = store.enqueue_queued_work(turn_work_draft(source_key="k"))
    claim(store)

    assert first == store.enqueue_queued_work(turn_work_draft(source_key="k"))


@pytest.mark.parametrize("how", ["completed", "cancelled"])
def test_source_key_is_free_when_its_batch_is_gone(store, how):
    """
    After completion or cancel the key names a new batch.
    """
    first = store.enqueue_queued_work(turn_work_draft(1, source_key="k"))
    if how == "completed":
        complete(store, claim(store))
    else:
        store.cancel_queued_work_batch(first.batch_id)

    second = store.enqueue_queued_work(turn_work_draft(2, source_key="k"))

    assert first.batch_id != second.batch_id
    assert [2] == bodies(claim(store))


def test_sessions_do_not_share_keys(backend):
    """
    A source key belongs to its session.
    """
    one = backend.open_store().enqueue_queued_work(turn_work_draft(1, source_key="k"))
    two = backend.open_store("other").enqueue_queued_work(
        turn_work_draft(2, source_key="k")
    )

    assert ("root", "other") == (one.session_id, two.session_id)
    assert (one,) == backend.open_store().list_queued_work()


@pytest.mark.parametrize(
    "draft",
    [
        QueuedWorkBatchDraft(payloads=()),
        QueuedWorkBatchDraft(
            payloads=(SessionCommandPayload(command={}), TurnWorkPayload(body={}))
        ),
        QueuedWorkBatchDraft(
            payloads=(
                ProcessWakePayload(wake=make_wake()),
                SessionCommandPayload(command={}),
            )
        ),
        turn_work_draft(float("nan")),
        turn_work_draft({"deep": ["\ud800"]}),
        turn_work_draft({1: 2}),
        command_draft(float("inf")),
        turn_work_draft(available_at_ms=-1),
        turn_work_draft(available_at_ms=2**63),
        turn_work_draft(source_key="a\0b"),
        turn_work_draft(source_key="\ud800"),
        turn_work_draft(merge_key=MergeGroup(group="a\0b")),
        QueuedWorkBatchDraft(
            payloads=(ProcessWakePayload(wake=make_wake(sequence=-1)),)
        ),
        QueuedWorkBatchDraft(payloads=({"type": "turn_work", "body": {}},)),
        turn_work_draft(slot_policy="never heard of"),
    ],
    ids=lambda _: None,
)
def test_draft_that_cannot_be_stored(store, draft):
    """
    Empty, mixed and unstorable batches are refused, and nothing is written.
    """
    with pytest.raises(InvalidArgumentError):
        store.enqueue_queued_work(draft)

    assert () == store.list_queued_work()


def test_nul_is_welcome_in_payloads(store):
    """
    A payload may hold NUL.
    """
    enqueue(store, {"a\0": "b\0"})

    assert [{"a\0": "b\0"}] == bodies(claim(store))


def test_claim_takes_the_first_batch(backend, clock):
    """
    A claim has its own id and token, runs from now, and holds the batch.
    """
    store = backend.open_store()
    first, second = enqueue(store, 1, 2)

    taken = claim(store, ttl_ms=250)
    store = backend.reopen(store)

    assert ("root", OWNER, 1, (first,)) == (
        taken.session_id,
        taken.owner,
        taken.fencing_token,
        taken.batches,
    )
    assert (clock.now_ms(), clock.now_ms() + 250) == (
        taken.claimed_at_ms,
        taken.expires_at_ms,
    )
    assert (first, second) == store.list_queued_work()
    assert (second,) == store.list_pending_queued_work()
    assert ("root", taken.claim_id, taken.lease_token, (first.batch_id,)) == (
        taken.completion().session_id,
        taken.completion().claim_id,
        taken.completion().lease_token,
        taken.completion().batch_ids,
    )


def test_nothing_to_claim(store):
    """
    An empty queue gives no claim.
    """
    assert None is claim(store)
    assert None is claim_command(store)


def test_owner_of_a_claim_need_not_hold_the_lease(store):
    """
    The fence proves the session; the claim may be another owner's.
    """
    enqueue(store, 1)
    lease = acquire_lease(store, make_owner("runner"))

    taken = store.claim_ready_queued_work(
        lease.fence(), make_owner("worker"), IDLE, 1000, 1
    )

    assert make_owner("worker") == taken.owner


def wrong_fences(lease):
    """
    Fences that do not prove the lease.
    """
    fence = lease.fence()
    return [
        REPLACE(fence, lease_token="stale"),
        REPLACE(fence, fencing_token=9),
        REPLACE(fence, owner=make_owner("other")),
        REPLACE(fence, session_id="other"),
    ]


def test_claims_need_the_lease(store, clock):
    """
    No claim without a live, exact fence.
    """
    batch = store.enqueue_queued_work(command_draft())
    lease = acquire_lease(store, ttl_ms=1000)

    def refused(fence):
        for call in (
            lambda: store.claim_ready_queued_work(fence, OWNER, IDLE, 1000, 1),
            lambda: store.claim_leading_ready_session_command(fence, OWNER, 1000),
            lambda: store.claim_ready_queued_work_by_batch_ids(
                fence, OWNER, IDLE, 1000, ["x"]
            ),
        ):
            with pytest.raises(SessionExecutionLeaseExpiredError):
                call()

    for fence in wrong_fences(lease):
        refused(fence)
    clock.advance(1000)
    refused(lease.fence())
    assert (batch,) == store.list_pending_queued_work()


def test_claim_of_nothing_needs_no_lease(store, clock):
    """
    Asking for no batch is answered before the fence is looked at.
    """
    enqueue(store, 1)
    fence = acquire_lease(store, ttl_ms=1).fence()
    clock.advance(1)

    assert None is store.claim_ready_queued_work(fence, OWNER, IDLE, 1000, 0)
    assert None is store.claim_ready_queued_work_by_batch_ids(
        fence, OWNER, IDLE, 1000, []
    )


@pytest.mark.parametrize("number", [-1, 2**63, 1.5, None], ids=repr)
def test_claim_with_a_ttl_out_of_range(store, number):
    """
    A length of a claim outside the range of counters is refused.
    """
    enqueue(store, 1)
    fence = acquire_lease(store).fence()
    taken = claim(store)

    for call in (
        lambda: store.claim_ready_queued_work(fence, OWNER, IDLE, number, 1),
        lambda: store.claim_leading_ready_session_command(fence, OWNER, number),
        lambda: store.claim_ready_queued_work_by_batch_ids(
            fence, OWNER, IDLE, number, ["x"]
        ),
        lambda: store.renew_queued_work_claim(taken, number),
    ):
        with pytest.raises(InvalidArgumentError):
            call()


def test_negative_number_of_batches(store):
    """
    A negative limit is refused.
    """
    with pytest.raises(InvalidArgumentError):
        claim(store, max_batches=-1)


def test_work_is_ready_from_its_time_on(store, clock):
    """
    A batch is claimable from the very millisecond it is available at.
    """
    enqueue(store, 1, available_at_ms=clock.now_ms() + 10)
    clock.advance(9)
    assert None is claim(store)

    clock.advance(1)

    assert [1] == bodies(claim(store))


def test_far_future_is_not_now(store):
    """
    The largest time is never.
    """
    enqueue(store, 1, available_at_ms=2**63 - 1)

    assert None is claim(store)


def test_what_is_not_ready_blocks_nothing(store, clock):
    """
    A waiting head lets ready work behind it pass.
    """
    enqueue(store, 1, available_at_ms=clock.now_ms() + 10)
    enqueue(store, 2)

    assert [2] == bodies(claim(store))


def test_command_at_the_head_bars_work(store):
    """
    A leading command is claimed alone, as a command only.
    """
    command = store.enqueue_queued_work(command_draft())
    enqueue(store, 1)
    store.enqueue_queued_work(command_draft())

    assert None is claim(store)
    assert (command,) == claim_command(store).batches


def test_work_at_the_head_bars_commands(store):
    """
    Leading turn work is not overtaken by a command.
    """
    enqueue(store, 1)
    store.enqueue_queued_work(command_draft())

    assert None is claim_command(store)
    assert [1] == bodies(claim(store))
    assert 1 == len(claim_command(store).batches)


def test_claimed_head_bars_nothing(store):
    """
    The head is the first batch that nobody holds.
    """
    store.enqueue_queued_work(command_draft())
    enqueue(store, 1)

    claim_command(store)

    assert None is claim_command(store)
    assert [1] == bodies(claim(store))


def test_exclusive_work_is_claimed_alone(store):
    """
    An exclusive head is a claim of one, however many may be had.
    """
    enqueue(store, 1)
    enqueue(store, 2, slot_policy=JOIN)

    assert [1] == bodies(claim(store))


@pytest.mark.parametrize(
    ("behind", "taken"),
    [
        ([{"slot_policy": JOIN}] * 2, 3),
        ([{"slot_policy": SlotPolicy.EXCLUSIVE}, {"slot_policy": JOIN}], 1),
        ([{"slot_policy": JOIN}, {"slot_policy": SlotPolicy.EXCLUSIVE}], 2),
        ([{"slot_policy": JOIN, "delivery_policy": LATER}], 1),
        ([{"slot_policy": JOIN, "merge_key": MergePayloadDefault()}], 1),
        (
            [
                {"slot_policy": JOIN, "merge_key": MergeGroup(group="g")},
                {"slot_policy": JOIN},
            ],
            1,
        ),
    ],
)
def test_joining_work_is_a_prefix(store, behind, taken):
    """
    A joining head takes the batches right behind it that join alike.
    """
    enqueue(store, 0, slot_policy=JOIN)
    for number, fields in enumerate(behind, start=1):
        enqueue(store, number, **fields)

    assert list(range(taken)) == bodies(claim(store))


@pytest.mark.parametrize(
    ("key", "other"),
    [
        (MergeGroup(group="a"), MergeGroup(group="b")),
        (MergeGroup(group="a"), MergePayloadDefault()),
        (MergePayloadDefault(), MergeNever()),
    ],
)
def test_merge_keys_join_their_like(store, key, other):
    """
    Batches join under one merge key and not across two.
    """
    enqueue(store, 1, 2, slot_policy=JOIN, merge_key=key)
    enqueue(store, 3, slot_policy=JOIN, merge_key=other)

    assert [1, 2] == bodies(claim(store))
    assert [3] == bodies(claim(store))


def test_command_ends_a_joining_prefix(store):
    """
    A command between joining batches parts them.
    """
    enqueue(store, 1, slot_policy=JOIN)
    store.enqueue_queued_work(command_draft(slot_policy=JOIN))
    enqueue(store, 2, slot_policy=JOIN)

    assert [1] == bodies(claim(store))


def test_limit_of_a_claim(store):
    """
    No more batches than asked for.
    """
    enqueue(store, 1, 2, 3, slot_policy=JOIN)

    assert [1, 2] == bodies(claim(store, max_batches=2))
    assert [3] == bodies(claim(store, max_batches=2))


def test_late_work_waits_for_the_turn_to_end(store):
    """
    Work for after the turn is not given at a checkpoint, and bars the rest.
    """
    enqueue(store, 1, delivery_policy=LATER)
    enqueue(store, 2)

    assert None is claim(store, CHECKPOINT)
    assert [1] == bodies(claim(store, IDLE))
    assert [2] == bodies(claim(store, CHECKPOINT))


def test_early_work_is_given_at_both_boundaries(store):
    """
    Work for the earliest boundary is given at a checkpoint and between turns.
    """
    enqueue(store, 1, 2)

    assert [1] == bodies(claim(store, CHECKPOINT))
    assert [2] == bodies(claim(store, IDLE))


def test_late_commands_are_given(store):
    """
    A command's delivery policy does not keep it from leading.
    """
    store.enqueue_queued_work(command_draft(delivery_policy=LATER))

    assert 1 == len(claim_command(store).batches)


def test_claims_by_ids(store):
    """
    Named batches are claimed if they are exactly the next group.
    """
    ids = [batch.batch_id for batch in enqueue(store, 1, 2, 3, slot_policy=JOIN)]

    assert None is claim_by_ids(store, ids[1:])
    assert None is claim_by_ids(store, [ids[1], ids[0]])
    assert None is claim_by_ids(store, ["unknown"])
    assert None is claim_by_ids(store, [ids[0], "unknown"])
    assert 3 == len(store.list_pending_queued_work())
    assert [1, 2] == bodies(claim_by_ids(store, ids[:2]))
    assert [3] == bodies(claim_by_ids(store, ids[2:]))


def test_claims_by_ids_follow_the_boundary(store):
    """
    Naming a batch does not lift its delivery policy.
    """
    (batch,) = enqueue(store, 1, delivery_policy=LATER)

    assert None is claim_by_ids(store, [batch.batch_id], CHECKPOINT)
    assert [1] == bodies(claim_by_ids(store, [batch.batch_id]))


def test_failed_claim_by_ids_leaves_no_trace(store):
    """
    A claim that is not given spends no fence.
    """
    first, _ = enqueue(store, 1, 2)
    claim_by_ids(store, ["unknown"])

    assert (first.batch_id,) == claim(store).completion().batch_ids


def test_expired_claim_is_pending_again(store, clock):
    """
    A claim holds until it expires; then the next one has a higher fence.
    """
    (batch,) = enqueue(store, 1)
    old = claim(store, ttl_ms=100)
    clock.advance(99)
    assert None is claim(store)
    assert () == store.list_pending_queued_work()
    clock.advance(1)
    assert (batch,) == store.list_pending_queued_work()

    new = claim(store)

    assert (1, 2) == (old.fencing_token, new.fencing_token)
    assert (old.claim_id, old.lease_token) != (new.claim_id, new.lease_token)
    assert old.lease_token != new.lease_token


def test_own_claim_is_not_given_twice(store):
    """
    The owner of a live claim cannot claim the batch again.
    """
    enqueue(store, 1)
    claim(store)

    assert None is claim(store)


def test_claim_of_the_dead_is_taken(store):
    """
    A claim whose holder is provably dead is free at once.
    """
    enqueue(store, 1)
    claim(store, owner=dead_owner(), ttl_ms=10**6)
    assert None is claim(store, owner=OWNER)

    assert [1] == bodies(claim(store, owner=live_owner()))


def test_claims_outlive_their_lease(store, clock):
    """
    A claim lives by its own time, whoever leads the session.
    """
    enqueue(store, 1)
    lease = acquire_lease(store, ttl_ms=100)
    store.claim_ready_queued_work(lease.fence(), OWNER, IDLE, 1000, 1)
    clock.advance(100)
    other = acquire_lease(store, make_owner("other"))

    assert None is store.claim_ready_queued_work(other.fence(), OWNER, IDLE, 1000, 1)


def test_renewal_extends_all_batches(backend, clock):
    """
    A renewed claim ends later, for each of its batches.
    """
    store = backend.open_store()
    enqueue(store, 1, 2, slot_policy=JOIN)
    taken = claim(store, ttl_ms=100)
    clock.advance(99)

    renewed = store.renew_queued_work_claim(taken, 100)
    store = backend.reopen(store)
    clock.advance(99)

    assert REPLACE(taken, expires_at_ms=clock.now_ms() + 1) == renewed
    assert () == store.list_pending_queued_work()
    clock.advance(1)
    assert 2 == len(store.list_pending_queued_work())


def test_renewal_never_shortens(store):
    """
    A shorter renewal leaves the claim as long as it was.
    """
    enqueue(store, 1)
    taken = claim(store, ttl_ms=1000)

    assert taken.expires_at_ms == store.renew_queued_work_claim(taken, 1).expires_at_ms


def test_expired_claim_is_not_renewed(store, clock):
    """
    A claim is renewable until it expires.
    """
    enqueue(store, 1)
    taken = claim(store, ttl_ms=100)
    clock.advance(100)

    with pytest.raises(QueuedWorkClaimExpiredError) as caught:
        store.renew_queued_work_claim(taken, 100)

    assert ("root", taken.claim_id) == (caught.value.session_id, caught.value.claim_id)
    assert 1 == len(store.list_pending_queued_work())


@pytest.mark.parametrize(
    "changes",
    [{"lease_token": "stale"}, {"claim_id": "another"}, {"session_id": "other"}],
    ids=str,
)
def test_renewal_must_match(store, changes):
    """
    A claim that differs renews nothing.
    """
    enqueue(store, 1)
    taken = claim(store)

    with pytest.raises(QueuedWorkClaimExpiredError):
        store.renew_queued_work_claim(REPLACE(taken, **changes), 1000)


def test_partial_renewal_is_none(store, clock):
    """
    A claim that lost one of its batches is renewed for none of them.
    """
    enqueue(store, 1, 2, slot_policy=JOIN)
    taken = claim(store, ttl_ms=100)
    gone = REPLACE(
        taken, batches=(*taken.batches, REPLACE(taken.batches[0], batch_id="gone"))
    )

    with pytest.raises(QueuedWorkClaimExpiredError):
        store.renew_queued_work_claim(gone, 1000)

    clock.advance(100)
    assert 2 == len(store.list_pending_queued_work())


def test_abandoned_work_is_pending_again(backend):
    """
    An abandoned claim frees its batches; the next fence is higher.
    """
    store = backend.open_store()
    enqueue(store, 1)
    old = claim(store)
    store.abandon_queued_work_claim(old)
    store = backend.reopen(store)

    new = claim(store)

    assert [1] == bodies(new)
    assert (1, 2) == (old.fencing_token, new.fencing_token)


def test_stale_abandon_changes_nothing(store):
    """
    Abandoning twice, or what another one holds, is a no-op.
    """
    enqueue(store, 1)
    old = claim(store)
    store.abandon_queued_work_claim(old)
    claim(store)

    store.abandon_queued_work_claim(old)

    assert None is claim(store)


def test_abandon_for_another_session(store):
    """
    Another session's claim is refused by name.
    """
    enqueue(store, 1)
    taken = claim(store)

    with pytest.raises(SessionBindingMismatchError):
        store.abandon_queued_work_claim(REPLACE(taken, session_id="other"))

    assert None is claim(store)


def test_abandoned_claim_cannot_complete(store):
    """
    A claim that was given up completes nothing.
    """
    enqueue(store, 1)
    taken = claim(store)
    store.abandon_queued_work_claim(taken)

    with pytest.raises(QueuedWorkClaimExpiredError):
        complete(store, taken)


def test_claim_that_lost_one_batch_completes_none(store, clock):
    """
    A claim of which one batch was retaken completes nothing of the rest.
    """
    first, second = enqueue(store, 1, 2, slot_policy=JOIN)
    old = claim(store, ttl_ms=100)
    clock.advance(100)
    new = claim(store, max_batches=1)

    with pytest.raises(QueuedWorkClaimExpiredError):
        complete(store, old)

    assert (first, second) == store.list_queued_work()
    complete(store, new)
    assert (second,) == store.list_pending_queued_work()


def test_abandon_after_expiry_frees_only_its_own(store, clock):
    """
    A late abandon does not free what another claim took meanwhile.
    """
    enqueue(store, 1, 2, slot_policy=JOIN)
    old = claim(store, ttl_ms=100)
    clock.advance(100)
    claim(store, max_batches=1)

    store.abandon_queued_work_claim(old)

    assert [2] == bodies(claim(store))


def test_claim_ids_and_tokens_are_fresh(store):
    """
    No two claims share an id or a token, on a frozen clock and a drained queue.
    """
    claims = []
    for number in range(5):
        enqueue(store, number)
        claims.append(claim(store))
        complete(store, claims[-1])

    assert 5 == len({one.claim_id for one in claims})
    assert 5 == len({one.lease_token for one in claims})


def test_cancelled_batch_is_gone(backend):
    """
    Cancelling returns the batch once and deletes it.
    """
    store = backend.open_store()
    first, second = enqueue(store, 1, 2)

    assert first == store.cancel_queued_work_batch(first.batch_id)
    store = backend.reopen(store)
    assert None is store.cancel_queued_work_batch(first.batch_id)
    assert (second,) == store.list_queued_work()


def test_unknown_batch_is_not_cancelled(store):
    """
    No such batch is an answer.
    """
    assert None is store.cancel_queued_work_batch("unknown")


def test_claimed_batch_is_not_cancelled(store, clock):
    """
    A live claim protects its batch; an expired one does not.
    """
    (batch,) = enqueue(store, 1)
    claim(store, ttl_ms=100)

    assert None is store.cancel_queued_work_batch(batch.batch_id)
    clock.advance(100)
    assert batch == store.cancel_queued_work_batch(batch.batch_id)


def test_claimed_work_does_not_hide_the_rest(store):
    """
    However many batches are held, the next one is found.
    """
    count = 150
    enqueue(store, *range(count), slot_policy=JOIN)
    claim(store, max_batches=count, ttl_ms=10**6)
    enqueue(store, "last")

    assert ["last"] == bodies(claim(store, max_batches=1))


def test_waiting_work_does_not_hide_the_rest(store):
    """
    However many batches are not ready, the next one is found.
    """
    enqueue(store, *range(150), available_at_ms=2**60)
    enqueue(store, "last")

    assert ["last"] == bodies(claim(store, max_batches=1))
