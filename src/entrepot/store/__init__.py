"""Bytes: immutable objects behind small protocols, on the local filesystem, in the cloud or in memory.

A store knows keys, blocks and ranges. It knows neither datasets nor HTTP, and its errors are those of the model.
Above this floor nobody opens a file.
"""
