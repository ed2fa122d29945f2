"""The door for clients of Benchling: data frames and datasets, of the client of today and of that of 2023."""
