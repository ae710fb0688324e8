"""A page with a tiny search of its own, in plain JavaScript: no kernel, no network, nothing to install."""
