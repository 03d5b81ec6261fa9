"""The command line: options and printing; the work is done by functions any program can call."""
