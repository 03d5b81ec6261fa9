"""`python -m albert_edge` is `albert-edge`."""

from albert_edge.cli.app import main

if __name__ == "__main__":
    main()
