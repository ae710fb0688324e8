"""What `mtlnas-lab …` can do, one file for each kind of work; `cli` puts them together."""
