"""
Bytes of the file itself, flipped, cut off and overwritten.
"""

import random
import shutil

import msgspec
import pytest

from lashstore import LashStoreError, PersistedSession, SessionPickerInfo

from .rich import PATH_NAME, is_other_first_message, read_everything, reads


def _is_less(answer, expected):
    """
    Tell whether an answer only lacks rows: a damaged tree or index may hide
    rows whole, which no local check can see (D24). It must invent nothing.
    """
    if answer is None or answer == expected:
        return True
    if isinstance(expected, tuple) and isinstance(answer, tuple):
        known = [repr(each) for each in expected]
        return [repr(each) for each in answer] == [
            each for each in known if each in set(map(repr, answer))
        ]
    if isinstance(answer, SessionPickerInfo):
        return is_other_first_message(answer, expected) or _has_lost_its_head(
            answer, expected
        )
    if isinstance(answer, PersistedSession) and isinstance(expected, PersistedSession):
        return (
            answer.head_revision == expected.head_revision
            and answer.config == expected.config
            and answer.checkpoint == expected.checkpoint
            and (answer.graph == expected.graph or _has_lost_its_leaf(answer, expected))
            and _is_less(answer.token_ledger, expected.token_ledger)
        )
    return False


def _has_lost_its_head(answer, expected):
    # As of a session before its first commit.
    return answer == msgspec.structs.replace(
        expected, first_user_message="", user_message_count=0
    )


def _has_lost_its_leaf(answer, expected):
    # A head's leaf may be missing: vacuum removes tombstoned ones.
    return (
        answer.graph.nodes == ()
        and answer.graph.leaf_node_id == expected.graph.leaf_node_id
    )


def _check(rich_file, sound, folder, seed, damage):
    dice = random.Random(seed)
    content = bytearray(rich_file.read_bytes())
    damage(dice, content)
    copy = folder / f"{seed}-{PATH_NAME}"
    copy.write_bytes(content)
    operations = reads()
    try:
        answers = read_everything(copy, operations)
    except Exception as error:
        return [f"seed {seed}: {error!r:.300} escaped"]
    finally:
        copy.unlink()
    return [
        f"seed {seed}: {name} answers {answer!r:.300} instead of {sound[name]!r:.300}"
        for name, answer in answers.items()
        if not isinstance(answer, LashStoreError) and not _is_less(answer, sound[name])
    ]


def _flip_one(dice, content):
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)


def _flip_some(dice, content):
    for _ in range(dice.randrange(2, 40)):
        _flip_one(dice, content)


def _truncate(dice, content):
    del content[dice.randrange(1, len(content)) :]


def _lose_page(dice, content):
    page = 4096 * dice.randrange(len(content) // 4096)
    content[page : page + 4096] = bytes(4096)


def _swap_pages(dice, content):
    first, second = (4096 * dice.randrange(1, len(content) // 4096) for _ in range(2))
    one, two = content[first : first + 4096], content[second : second + 4096]
    content[first : first + 4096], content[second : second + 4096] = two, one


DAMAGES = (_flip_one, _flip_some, _truncate, _lose_page, _swap_pages)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__.strip("_"))
def test_damaged_bytes_are_found_out(damage, rich_file, sound_answers, tmp_path):
    """
    Forty random damages of a kind: errors of ours, or true answers.
    """
    failures = []
    for seed in range(40):
        failures += _check(rich_file, sound_answers, tmp_path, seed, damage)

    assert failures == []


@pytest.mark.campaign
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__.strip("_"))
def test_many_damaged_bytes_are_found_out(damage, rich_file, sound_answers, tmp_path):
    """
    The same two thousand times.
    """
    failures = []
    for seed in range(1_000, 3_000):
        failures += _check(rich_file, sound_answers, tmp_path, seed, damage)

    assert failures == []


def test_cut_file_is_no_empty_session(rich_file, tmp_path):
    """
    A file cut to its first page is an error, not a session without a head.
    """
    copy = tmp_path / PATH_NAME
    shutil.copy(rich_file, copy)
    with copy.open("r+b") as file:
        file.truncate(4096)

    answers = read_everything(copy, reads())

    assert all(isinstance(answer, LashStoreError) for answer in answers.values())
