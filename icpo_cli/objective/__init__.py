"""The paper's mathematics as pure tensor functions: torch alone, no I/O, no models, no distributed calls."""
