"""The rounds of an analysis. Each makes one code block and reads what it printed."""
