"""Tables of results, and their forms: terminal, Markdown, LaTeX, CSV."""
