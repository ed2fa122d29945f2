"""The command line, one module per noun. It must start fast: a command imports what it needs when it runs."""
