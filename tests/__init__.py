"""The tests; README.md says which question each folder answers."""
