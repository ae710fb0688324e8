"""The figure studio: a fusion graph made ready for print."""
