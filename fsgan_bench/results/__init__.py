"""Run folders: what is where, and the one reader that makes tables of them."""
