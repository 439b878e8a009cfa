"""`python -m deepanalyze`."""

from deepanalyze.cli import main

main()
