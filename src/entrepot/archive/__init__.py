"""Archives: many entries as one stream of bytes, out and in.

Out: `zipout` and `tarout` lay an archive out before its first byte is sent, so that it has a length, a strong entity
tag and ranges like any stored file. `ranged` is what they share.
"""
