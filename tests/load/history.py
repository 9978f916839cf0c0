"""
The hosts' journals against what the server holds.
"""

import json
from collections import Counter, defaultdict

from lashstore import ManualClock, SessionStoreFactory

# By then every claim of a dead host has ended.
_MUCH_LATER_MS = 10**15


def read_journals(folder):
    """
    Return every acknowledgement, in each host's own order.
    """
    return [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def check(url, acknowledged):
    """
    Return what contradicts: lost, doubled, or held by two at once.
    """
    by_session = defaultdict(lambda: defaultdict(list))
    for each in acknowledged:
        by_session[each["session"]][each["kind"]].append(each)
    complaints = []
    with SessionStoreFactory(url, clock=ManualClock(_MUCH_LATER_MS)) as factory:
        for session_id, told in sorted(by_session.items()):
            store = factory.open_existing_store(session_id)
            complaints += [
                f"{session_id}: {what}" for what in _check_session(store, told)
            ]
    return complaints


def _check_session(store, told):
    session = store.load_session()
    nodes = [] if session is None else session.graph.nodes
    payloads = [node.payload for node in nodes]
    if session is not None and len(nodes) != session.head_revision:
        yield f"{len(nodes)} nodes at revision {session.head_revision}"
    parents = [None, *(node.node_id for node in nodes)]
    if [node.parent_node_id for node in nodes] != parents[:-1]:
        yield "commits do not follow each other"
    place = {node.node_id: number for number, node in enumerate(nodes, start=1)}
    for commit in told["commit"]:
        if place.get(commit["turn_id"]) != commit["revision"]:
            yield f"commit {commit['turn_id']} is lost or moved"
    yield from _check_admissions(
        told["input"],
        [one for payload in payloads for one in payload["inputs"]],
        [one.input_id for one in store.list_pending_turn_inputs()],
    )
    yield from _check_admissions(
        told["batch"],
        [one for payload in payloads for one in payload["batches"]],
        [one.batch_id for one in store.list_queued_work()],
    )
    yield from _check_holders(told, payloads)
    yield from _check_effects(told, payloads)


def _check_admissions(sent, used, waiting):
    places = Counter(used) + Counter(waiting)
    for one, count in places.items():
        if count > 1:
            yield f"{one} is there {count} times"
    for each in sent:
        if each["id"] not in places:
            yield f"{each['kind']} {each['id']} is lost"


def _check_holders(told, payloads):
    holders = defaultdict(set)
    for lease in told["lease"]:
        holders[lease["fence"]].add(lease["owner"])
    for payload in payloads:
        holders[payload["fence"]].add(payload["owner"])
    for fence, owners in holders.items():
        if len(owners) > 1:
            yield f"fence {fence} was {owners}'s"
    fences = [payload["fence"] for payload in payloads]
    if fences != sorted(fences):
        yield "a holder committed behind its successor"


def _check_effects(told, payloads):
    outcomes = defaultdict(set)
    recorded_at = {}
    for effect in told["effect"]:
        outcomes[effect["step"]].add(effect["outcome"])
        first = recorded_at.get(effect["step"], effect["at"])
        recorded_at[effect["step"]] = min(first, effect["at"])
    for number, payload in enumerate(payloads, start=1):
        outcomes[f"step-{number}"].add(payload["outcome"])
    for step, found in outcomes.items():
        if len(found) > 1:
            yield f"effect {step} has {len(found)} outcomes"
    for run in told["ran"]:
        if run["at"] > recorded_at.get(run["step"], run["at"]):
            yield f"effect {run['step']} ran again after it was recorded"
