"""The checks of the course's exercises, one file a notebook."""
