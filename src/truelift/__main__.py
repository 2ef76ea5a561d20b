"""`python -m truelift` is `truelift`."""

from truelift.cli import main

if __name__ == "__main__":
    main()
