"""What runs inside the sandbox, under whatever interpreter the kernels have.

It must import nothing of the server: `launcher`, `landlock` and `seccomp` use the standard library only, the rest
needs ipykernel.
"""
