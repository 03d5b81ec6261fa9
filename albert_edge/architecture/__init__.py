"""What an ALBERT is, as plain data; standard library only."""
