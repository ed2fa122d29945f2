"""The SDK: transport, resources and restartable transfer. It shares only the model and the wire with the server."""
