"""What all HTTP doors share: body blocks, ranges, conditional requests, authentication, errors, object routes."""
