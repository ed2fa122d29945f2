"""One package per door that speaks a wire protocol: routes, encode, errors and a README in each.

A door reads a request, makes one call to the depot and encodes the answer. It translates and never decides.
"""
