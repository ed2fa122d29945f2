"""What a `Client` has, one module per noun: thin, typed calls whose answers are the messages of the wire."""
