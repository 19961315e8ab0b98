"""From past runs to tables, figures and one page."""
