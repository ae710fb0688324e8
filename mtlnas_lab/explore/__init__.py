"""Explorations: the ideas of related papers over one search space and one table, a paper a file."""
