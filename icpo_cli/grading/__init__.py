"""A response and a gold answer to a verdict: extraction, rules, judge."""
