"""
`AsyncEffectHost` and `AsyncEffectController`: recorded effects whose work is
awaited.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Self

from lashstore.clock import Clock
from lashstore.effects import EffectHost
from lashstore.effects.controller import (
    require_callable,
    step_envelope,
    timer_envelope,
)
from lashstore.model.effects import (
    EffectEnvelope,
    EffectReplayOptions,
    ExecutionScope,
    prepare_effect,
    scope_key,
    scope_session_id,
)
from lashstore.model.record import Json

from .effect_runner import AsyncEffectRunner, AsyncPatience
from .handle import AsyncHandle
from .hops import Hops
from .twins.effects import AsyncEffectHostTwins


class AsyncEffectHost(AsyncEffectHostTwins, AsyncHandle[EffectHost]):
    """
    `EffectHost` for event loops; its executors are coroutine functions.

        async with await AsyncEffectHost.open("effects.db") as host:
            turn = host.scoped(TurnScope(session_id="chat", turn_id="7"))
            weather = await turn.step("ask", ask_the_weather)
    """

    def __init__(self, sync: EffectHost, hops: Hops) -> None:
        """
        Use `open` or `memory` instead.
        """
        super().__init__(sync, hops)
        self._runner = AsyncEffectRunner(
            sync._journal,  # noqa: SLF001, the other half of it
            sync._timings,  # noqa: SLF001
            hops,
        )

    @classmethod
    async def open(
        cls,
        target: str | Path,
        *,
        options: EffectReplayOptions = EffectReplayOptions(),
        clock: Clock | None = None,
    ) -> Self:
        """
        Open a journal's file, or make it; as `EffectHost.open`.
        """
        return await cls._opened(
            partial(EffectHost.open, target, options=options, clock=clock)
        )

    @classmethod
    async def memory(
        cls,
        *,
        options: EffectReplayOptions = EffectReplayOptions(),
        clock: Clock | None = None,
    ) -> Self:
        """
        Make a journal that lives as long as the host; as
        `EffectHost.memory`.
        """
        return await cls._opened(
            partial(EffectHost.memory, options=options, clock=clock)
        )

    def start_replay(self) -> None:
        """
        From now on run nothing; as `EffectHost.start_replay`.
        """
        self._sync.start_replay()

    def scoped(self, scope: ExecutionScope) -> "AsyncEffectController":
        """
        Return what runs the effects of *scope*; as `EffectHost.scoped`.
        """
        # The sync one checks that the host is open and the scope is one.
        self._sync.scoped(scope)
        return AsyncEffectController(scope, self._runner)


class AsyncEffectController:
    """
    `EffectController` for event loops.

    While an executor runs, a task beside it renews its claim. A task that is
    cancelled while its executor runs frees the claim, and the effect may run
    again; cancelled while an outcome is being recorded, it is recorded first.
    """

    scope: ExecutionScope
    scope_id: str

    def __init__(self, scope: ExecutionScope, runner: AsyncEffectRunner) -> None:
        self.scope = scope
        self.scope_id = scope_key(scope)
        self._session_id = scope_session_id(scope)
        self._runner = runner

    async def execute_effect(
        self,
        envelope: EffectEnvelope,
        executor: Callable[[EffectEnvelope], Awaitable[Json]],
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | asyncio.Event | None = None,
    ) -> Json:
        """
        Return the recorded outcome of an effect; if there is none, await
        *executor* and record one; as `EffectController.execute_effect`.

        Raises:
            asyncio.CancelledError: The task was cancelled; the claim is free.
            As `EffectController.execute_effect`.
        """
        effect = prepare_effect(self.scope_id, self._session_id, envelope)
        patience = AsyncPatience(timeout_s, cancel)
        if effect.duration_ms is None:
            require_callable("the executor", executor)
        return await self._runner.execute(effect, executor, patience)

    async def step(
        self,
        step_id: str,
        function: Callable[[], Awaitable[Json]],
        *,
        input: Json = None,  # noqa: A002, the contract's name
    ) -> Json:
        """
        Await *function* once in the scope's life, whatever happens in
        between; as `EffectController.step`.
        """
        envelope = step_envelope(step_id, input)
        require_callable("the step's function", function)
        return await self.execute_effect(envelope, lambda _: function())

    async def sleep(
        self,
        effect_id: str,
        duration_ms: int,
        *,
        cancel: threading.Event | asyncio.Event | None = None,
    ) -> None:
        """
        Wait until *duration_ms* after the timer was first asked for; as
        `EffectController.sleep`.
        """
        envelope = timer_envelope(effect_id, duration_ms)
        await self.execute_effect(envelope, _run_nothing, cancel=cancel)


async def _run_nothing(_envelope: EffectEnvelope) -> Json:
    return None
