"""The local transfer daemon: a per-user process whose transfers survive kill -9, sleep and network loss."""
