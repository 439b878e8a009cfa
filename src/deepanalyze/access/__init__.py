"""Data sources as one user may see and use them."""

from deepanalyze.access.using import Question, SourceAccess, TestResult

__all__ = ["Question", "SourceAccess", "TestResult"]
