"""The bodies of the native API: one module per noun, used by the server to answer and by the SDK to ask.

They say how things look on the wire and nothing else: what a name may be, who may do what and what is there are
questions for the server.
"""
