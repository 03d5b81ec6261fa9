"""Records: texts and other items, read one at a time from files and from stdin."""
