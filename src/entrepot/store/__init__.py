"""Bytes: immutable objects under keys of ours, and crash-safe staging for uploads that are still arriving.

`base` says what every backend promises; `filesystem` and `memory` keep it. Nothing here knows what the bytes mean, who
may see them or whether anybody refers to them: that is the catalogue's.
"""
