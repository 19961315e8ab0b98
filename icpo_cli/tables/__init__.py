"""One table record and its formats: terminal, Markdown, LaTeX, HTML, CSV. Every format escapes untrusted text."""
