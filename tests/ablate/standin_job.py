"""icpo_cli.ablate.job with the stand-in for its `icpo`."""

import sys
from pathlib import Path

from icpo_cli.ablate.job import main

STANDIN = Path(__file__).with_name("standin.py")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], [sys.executable, str(STANDIN)]))
