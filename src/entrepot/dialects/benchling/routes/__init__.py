"""The routes of the door, one module a noun."""
