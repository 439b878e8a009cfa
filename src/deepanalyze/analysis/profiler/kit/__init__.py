"""Code that the profiler runs in the sandbox.

The text of these modules is copied into the code blocks that the user sees, so each stands alone, needs nothing but
the `analysis` extra and is written to be read. The server itself never imports them.
"""
