"""Tables in files: which formats there are, and how a first look at one and its statistics are made.

What strangers wrote is parsed by a program of its own (`table_worker`), never in this process.
"""
