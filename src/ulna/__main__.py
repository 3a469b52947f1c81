"""`python -m ulna` is the command `ulna`."""

from ulna.cli import main

if __name__ == "__main__":
    main()
