"""Durable background work: rows in the catalogue, leased by workers, retried, cancelled, taken over after a crash.

A job runs a use case through a registry that the server's composition fills, so this floor does not know the depot.
"""
