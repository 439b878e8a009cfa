"""One script for each way; each prints the figures of its transfer as JSON."""
