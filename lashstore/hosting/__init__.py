"""
How a host drives a session store: the reference for runtimes, and the engine
of `lashstore replay`.

`transcript` reads, `plan` decides (both without touching a store), `runner`
does; `lane` keeps the session's execution lease meanwhile, and `picture`
reads a session whole, to compare it.
"""
