"""The app: the same verbs in a browser, a thin skin over the functions that the command line calls."""
