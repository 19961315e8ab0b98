"""Grading of responses against gold answers: extraction, rules, sandbox, judge."""
