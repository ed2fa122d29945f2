"""The door for clients of Datature Nexus: batch datasets, and what makes a batch useful around them."""
