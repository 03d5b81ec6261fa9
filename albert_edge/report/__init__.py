"""One page about a bundle: quality, speed, machine and contents; and all drawing."""
