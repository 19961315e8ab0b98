"""Entry point of the `icpo` command: an error becomes one line and an exit status."""

import sys

from icpo_cli.cli.app import app
from icpo_cli.errors import EXIT_FAILED, EXIT_USER_ERROR, EndedAtOnce, RunFailed, UserError
from icpo_cli.text import printable


def main() -> None:
    try:
        app()
    except UserError as error:
        sys.exit(_print_error(error, EXIT_USER_ERROR))
    except RunFailed as error:
        sys.exit(_print_error(error, EXIT_FAILED))
    except EndedAtOnce as ended:
        sys.exit(_print_error(ended, 128 + ended.signal))


def _print_error(error: BaseException, status: int) -> int:
    # Messages may quote file contents and model names, which may hold control codes.
    print(f"icpo: {printable(str(error))}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
