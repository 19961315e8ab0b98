"""The typed configuration: schema, presets, layering and the checks that need no engine."""
