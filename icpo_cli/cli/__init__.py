"""One thin Typer module per command; nothing heavy is imported until a command runs."""
