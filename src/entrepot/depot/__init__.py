"""The use cases, one module per noun: the only floor that touches bytes and facts, and the one that asks permission.

Every use case takes the actor, asks once whether they may, and is all or nothing. Code here is plain synchronous
Python in a worker thread; it never waits for the network and knows no HTTP.
"""
