"""One module per command, imported when the command is called; engines are imported when it runs."""
