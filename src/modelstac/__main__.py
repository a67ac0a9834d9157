"""``python -m modelstac``."""

from modelstac.cli import main

if __name__ == "__main__":
    main(prog_name="modelstac")
