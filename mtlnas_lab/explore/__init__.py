"""Explorations: one related paper a file, over the same search spaces, networks, rooms and search as the rest."""
