"""The native API under /api/v1, the complete one: whatever any door can do, it can do."""
