"""Typed tables: sniff, validate, convert and query columns and rows."""
