"""The JSON routes, one module per noun: read the request, make one depot call, answer."""
