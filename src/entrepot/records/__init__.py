"""Record sets: check, count and index newline-delimited JSON, in constant memory and naming every bad line."""
