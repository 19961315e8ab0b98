"""One thin Typer module a command; nothing heavy is imported until a command runs."""
