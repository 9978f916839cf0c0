"""
A chat that can be killed at any moment and goes on where it was.

    python chat.py                      # reads lines until end of file
    python chat.py --say "Hello" --say "My name is Ada"

Each line is enqueued before anything is done about it, and each answer lands
with what it answers in one commit. So a line that was typed is answered once,
by this run or by the next.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence

from lashstore import (
    ActivePath,
    GraphAppend,
    NextTurnIngress,
    PendingTurnInputDraft,
    RuntimeCommit,
    SessionNode,
    SessionStoreFactory,
    Store,
    TokenLedgerEntry,
    TokenUsage,
)
from lashstore.runtime import Turn, TurnRunner, keep_session_lease

MODEL = "example-model"


def main() -> None:
    """
    Show the conversation so far, then answer every line.
    """
    arguments = parse_arguments()
    with (
        SessionStoreFactory(arguments.root) as factory,
        factory.create_store(arguments.session, model=MODEL) as store,
        # Refused at once while another host has the session; taken over at
        # once from one that died on this machine.
        keep_session_lease(store) as keeper,
    ):
        shown = show(store, after=0)
        runner = TurnRunner(store, keeper, lambda turn: answer(store, turn))
        for line in waiting_then(arguments.say):
            if line is not None:
                store.enqueue_pending_turn_input(
                    PendingTurnInputDraft(
                        ingress=NextTurnIngress(),
                        input={"role": "user", "content": line},
                    )
                )
            while runner.run_next():
                shown = show(store, after=shown)


def waiting_then(said: Sequence[str] | None) -> Iterator[str | None]:
    """
    Begin with None, for what an earlier run left unanswered.
    """
    yield None
    lines: Iterable[str] = sys.stdin if said is None else said
    for line in lines:
        if line.strip():
            yield line.strip()


def answer(store: Store, turn: Turn) -> RuntimeCommit:
    """
    One turn: ask the model, and say what the turn changes.
    """
    leaf = None if turn.head is None else turn.head.leaf_node_id
    said = [each.input for each in turn.inputs]
    messages = [*conversation(store), *said]
    text, usage = ask_model(messages)
    nodes: list[SessionNode] = []
    for message in [*said, {"role": "assistant", "content": text}]:
        node = SessionNode(
            node_id=f"{turn.turn_id}-{len(nodes)}",
            parent_node_id=leaf,
            payload=message,
        )
        leaf = node.node_id
        nodes.append(node)
    return RuntimeCommit(
        session_id=store.session_id,
        graph=GraphAppend(nodes=tuple(nodes)),
        usage_deltas=(TokenLedgerEntry(source="turn", model=MODEL, usage=usage),),
    )


def conversation(store: Store) -> list[dict[str, str]]:
    """
    The messages from the first to the leaf.
    """
    session = store.load_session(ActivePath())
    if session is None:
        return []
    return [node.payload for node in session.graph.active_path()]


def show(store: Store, *, after: int) -> int:
    """
    Print the messages behind the first *after*; return how many there are.
    """
    messages = conversation(store)
    for message in messages[after:]:
        print(f"{message['role']}: {message['content']}", flush=True)
    return len(messages)


def ask_model(messages: Sequence[dict[str, str]]) -> tuple[str, TokenUsage]:
    """
    Stand in for a model: it remembers a name, and counts.
    """
    said = [each["content"] for each in messages if each["role"] == "user"]
    words = sum(len(each["content"].split()) for each in messages)
    names = [
        text.removeprefix("My name is ")
        for text in said
        if text.startswith("My name is ")
    ]
    greeting = f"Hello {names[-1]}" if names else "Hello"
    text = f"{greeting}, that was message {len(said)}."
    return text, TokenUsage(input_tokens=words, output_tokens=len(text.split()))


def parse_arguments() -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(
        description="A chat that can be killed at any moment."
    )
    parser.add_argument("--root", default="sessions", help="folder of the sessions")
    parser.add_argument("--session", default="chat", help="id of the session")
    parser.add_argument(
        "--say", action="append", help="a line to say instead of reading standard input"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
