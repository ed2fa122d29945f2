"""The server process: configuration, the one place that picks backends, start and orderly end."""
