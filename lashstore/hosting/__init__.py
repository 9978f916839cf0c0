"""
How a host drives a session store: the reference for runtimes, and the engine
of `lashstore replay`.

`transcript` reads, `plan` decides (both without touching a store), `runner`
does; `lane` keeps the session's execution lease meanwhile, and `picture`
reads a session whole, to compare it.

Beside the session, `tools` runs its tool calls as recorded effects, `trigger`
starts a background process, `background` lets that wake the session, and
`audit` proves that all of it happened, once.
"""
