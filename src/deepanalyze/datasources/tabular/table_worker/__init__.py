"""The program that reads tables from files of strangers, in a process that may hold nothing worth having.

It imports nothing of the rest, so that it can run where the rest cannot be seen; `formats` and `failures` are also used
from outside.
"""
