"""`python -m roadworthy` is `rw`."""

from roadworthy.faces.cli.main import main

if __name__ == "__main__":
    main()
