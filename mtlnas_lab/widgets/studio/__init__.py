"""The studio: a search that is watched and steered in a notebook."""
