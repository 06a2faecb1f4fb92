"""One module a page; each gives what reproduces it: the query of its link, and its command line."""
