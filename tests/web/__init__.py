"""A package, so that the browser and its server end with the last of these tests and not with the run."""
