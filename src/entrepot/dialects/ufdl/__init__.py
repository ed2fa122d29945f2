"""The UFDL door at /v1: core datasets, and what its clients need around them."""
