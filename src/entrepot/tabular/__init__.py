"""Typed tables: sniff, validate, convert and query columns and rows.

    files ──text_files / typed_files──► batches of cells ──guessing──► types
                                             └──────values──► Arrow ──parquet──► canonical Parquet, one for each file

Everything that imports pyarrow, numpy or DuckDB is run in child processes with hard limits (`child`); the processes
that answer requests never import them.
"""
