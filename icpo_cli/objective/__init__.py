"""The mathematics of the paper as pure tensor functions: torch and the config schema, no I/O, models or collectives."""
