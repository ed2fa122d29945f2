"""What a file is: a registry of data types with how to recognise one, check it and read facts out of it.

builtin      the types that come with the program            registry    all of them, and those of a server's settings
recognise    from the first bytes and the name to a type     peek        the first bytes inside gzip and BGZF, bounded
"""
