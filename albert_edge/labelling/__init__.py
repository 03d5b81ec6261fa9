"""Label files of any size: answers in a file that is complete or not there, and can be resumed."""
