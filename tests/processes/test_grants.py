"""
Handle grants, and deleting a session.
"""

import pytest

from lashstore import (
    InvalidArgumentError,
    ProcessConflictError,
    ProcessHandleDescriptor,
    ProcessHandleGrant,
    SessionScope,
    SuccessOutput,
    UnknownProcessError,
)

from .kit import FRAME, NOW_MS, OTHER, ROOT, registration

TOOL = ProcessHandleDescriptor(kind="tool", label="grep")
BARE = ProcessHandleDescriptor()


@pytest.fixture(name="three")
def _three(registry):
    """
    Return a registry that knows processes `a`, `b` and `c`.
    """
    for process_id in "abc":
        registry.register_process(registration(process_id))
    return registry


def ids(entries):
    """
    Return the process ids of entries or grants.
    """
    return [
        (each[0] if isinstance(each, tuple) else each).process_id for each in entries
    ]


def test_a_grant_names_session_process_and_descriptor(three, place):
    """
    It is listed with its process, and replaced by the next one.
    """
    grant = three.grant_handle(FRAME, "a", TOOL)

    assert (
        ProcessHandleGrant(session_id="root", process_id="a", descriptor=TOOL) == grant
    )
    registry = place.reopen(three)
    assert ((grant, registry.get_process("a")),) == registry.list_handle_grants(FRAME)
    registry.grant_handle(FRAME, "a", BARE)
    ((found, _),) = registry.list_handle_grants(FRAME)
    assert BARE == found.descriptor


def test_scopes_are_apart(three):
    """
    A session and its frames, and frames that only look alike as text.
    """
    odd = SessionScope(session_id="root/frame:f")
    three.grant_handle(FRAME, "a", TOOL)

    assert three.has_handle_grant(FRAME, "a")
    for scope in (ROOT, OTHER, odd):
        assert not three.has_handle_grant(scope, "a")
        assert () == three.list_handle_grants(scope)


def test_an_empty_frame_is_none(three):
    """
    Both say the session itself.
    """
    three.grant_handle(SessionScope(session_id="root", agent_frame_id=""), "a", TOOL)

    assert three.has_handle_grant(ROOT, "a")


def test_grants_are_listed_by_process_id(three):
    """
    All of them, or those of running processes.
    """
    for process_id in "cab":
        three.grant_handle(ROOT, process_id, TOOL)
    three.complete_process("b", SuccessOutput(value=1))

    assert ["a", "b", "c"] == ids(three.list_handle_grants(ROOT))
    assert ["a", "c"] == ids(three.list_live_handle_grants(ROOT))
    assert three.list_handle_grants(ROOT)[1][1].is_terminal


def test_revoking_is_harmless_where_nothing_is(three):
    """
    Unknown scopes and processes too.
    """
    three.grant_handle(ROOT, "a", TOOL)
    three.revoke_handle(FRAME, "a")
    three.revoke_handle(ROOT, "x")
    assert three.has_handle_grant(ROOT, "a")

    three.revoke_handle(ROOT, "a")
    three.revoke_handle(ROOT, "a")

    assert not three.has_handle_grant(ROOT, "a")


def test_an_unknown_process_is_granted_to_nobody(registry):
    """
    Granting and asking whom it was granted to are errors.
    """
    with pytest.raises(UnknownProcessError):
        registry.grant_handle(ROOT, "x", TOOL)
    with pytest.raises(UnknownProcessError):
        registry.handle_grants_for_process("x")
    assert not registry.has_handle_grant(ROOT, "x")


def test_grants_of_a_process_are_sorted(three):
    """
    By session, then by frame; a process nobody was granted has none.
    """
    deep = SessionScope(session_id="root", agent_frame_id="a")
    for scope in (FRAME, OTHER, deep, ROOT):
        three.grant_handle(
            scope, "a", ProcessHandleDescriptor(label=scope.agent_frame_id)
        )

    found = three.handle_grants_for_process("a")

    assert [("other", None), ("root", None), ("root", "a"), ("root", "f")] == [
        (each.session_id, each.descriptor.label) for each in found
    ]
    assert () == three.handle_grants_for_process("b")


def test_transferring_moves_descriptors(three):
    """
    They replace those that are there.
    """
    three.grant_handle(ROOT, "a", TOOL)
    three.grant_handle(ROOT, "b", BARE)
    three.grant_handle(FRAME, "a", BARE)

    three.transfer_handle_grants(ROOT, FRAME, ["b", "a"])

    assert () == three.list_handle_grants(ROOT)
    assert [TOOL, BARE] == [
        grant.descriptor for grant, _ in three.list_handle_grants(FRAME)
    ]


def test_transferring_to_itself_changes_nothing(three):
    """
    The grants stay as they are.
    """
    three.grant_handle(ROOT, "a", TOOL)

    three.transfer_handle_grants(ROOT, ROOT, ["a"])

    assert three.has_handle_grant(ROOT, "a")


@pytest.mark.parametrize(
    "process_ids", [["a", "b"], ["a", "x"], ["a", "a"], ["b", "a"]]
)
def test_transferring_is_all_or_nothing(three, process_ids):
    """
    One that is not granted, or is named twice, stops the others.
    """
    three.grant_handle(ROOT, "a", TOOL)

    with pytest.raises(ProcessConflictError) as caught:
        three.transfer_handle_grants(ROOT, FRAME, process_ids)

    assert caught.value.process_id == next(
        (each for each in process_ids if each != "a"), "a"
    )
    assert ["a"] == ids(three.list_handle_grants(ROOT))
    assert () == three.list_handle_grants(FRAME)


def test_transferring_nothing_is_allowed(registry):
    """
    An empty list needs no grants.
    """
    registry.transfer_handle_grants(ROOT, FRAME, [])


@pytest.mark.parametrize(
    "call",
    [
        lambda r: r.grant_handle("root", "a", TOOL),
        lambda r: r.grant_handle(SessionScope(session_id="a\0"), "a", TOOL),
        lambda r: r.grant_handle(
            SessionScope(session_id="a", agent_frame_id="\ud800"), "a", TOOL
        ),
        lambda r: r.grant_handle(ROOT, "", TOOL),
        lambda r: r.grant_handle(ROOT, "a", None),
        lambda r: r.grant_handle(ROOT, "a", ProcessHandleDescriptor(kind=5)),
        lambda r: r.revoke_handle(None, "a"),
        lambda r: r.transfer_handle_grants(ROOT, FRAME, [""]),
        lambda r: r.transfer_handle_grants(None, FRAME, []),
        lambda r: r.has_handle_grant(ROOT, 5),
        lambda r: r.delete_session_process_state("a\0"),
        lambda r: r.delete_session_process_state(None),
    ],
)
def test_bad_arguments_are_refused(three, call):
    """
    Before the database is touched.
    """
    with pytest.raises(InvalidArgumentError):
        call(three)


def test_deleting_a_session_takes_its_grants(three, clock):
    """
    Of all its frames; what still runs is orphaned or preserved.
    """
    three.register_process(registration("d"))
    three.grant_handle(ROOT, "c", TOOL)
    three.grant_handle(FRAME, "c", TOOL)
    three.grant_handle(FRAME, "a", TOOL)
    three.grant_handle(ROOT, "b", TOOL)
    three.grant_handle(OTHER, "b", TOOL)
    three.grant_handle(ROOT, "d", TOOL)
    three.complete_process("d", SuccessOutput(value=1))
    before = three.list_non_terminal()
    clock.advance(5)

    report = three.delete_session_process_state("root")

    assert "root" == report.session_id
    assert (5, 0) == (report.revoked_handle_count, report.deleted_wake_count)
    assert ("a", "c") == report.orphaned_process_ids
    assert ("b",) == report.preserved_process_ids
    assert () == three.list_handle_grants(ROOT)
    assert () == three.list_handle_grants(FRAME)
    assert three.has_handle_grant(OTHER, "b")
    assert before == three.list_non_terminal()
    again = three.delete_session_process_state("root")
    assert (0, (), ()) == (
        again.revoked_handle_count,
        again.orphaned_process_ids,
        again.preserved_process_ids,
    )


def test_deleting_a_session_clears_it_as_wake_target(registry, place, clock):
    """
    Of running and ended processes and whatever frame; only those are touched.
    """
    targets = {"a": ROOT, "b": FRAME, "c": OTHER, "d": None, "e": ROOT}
    for process_id, target in targets.items():
        registry.register_process(registration(process_id, wake_target=target))
    registry.complete_process("e", SuccessOutput(value=1))
    clock.advance(5)

    registry.delete_session_process_state("root")

    registry = place.reopen(registry)
    records = {each: registry.get_process(each) for each in targets}
    assert {"c": OTHER} == {
        each: record.wake_target
        for each, record in records.items()
        if record.wake_target is not None
    }
    assert {"a", "b", "e"} == {
        each for each, record in records.items() if record.updated_at_ms == NOW_MS + 5
    }


def test_registering_again_after_a_session_was_deleted(registry):
    """
    The registration counts as it was given, target and all.
    """
    registry.register_process(registration("p", wake_target=ROOT))
    registry.delete_session_process_state("root")

    again = registry.register_process(registration("p", wake_target=ROOT))

    assert again.wake_target is None
    with pytest.raises(ProcessConflictError):
        registry.register_process(registration("p"))
