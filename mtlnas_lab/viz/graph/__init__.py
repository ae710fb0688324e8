"""Fusion graphs as networkx graphs and as pictures."""
