"""
Stateful tests: random programs against a store and a plain model of it.

The models are written from the contract, in dicts and lists; what a store
answers is compared with what the model answers, never with another answer
of the store.
"""
