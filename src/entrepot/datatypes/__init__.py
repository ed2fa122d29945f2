"""What a file is: a registry of data types with how to recognise one, check it and read facts out of it."""
