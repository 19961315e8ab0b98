"""Studies: arms planned, launched as `icpo train` processes, and compared."""
