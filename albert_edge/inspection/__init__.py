"""What is in a bundle, and what differs between two."""
