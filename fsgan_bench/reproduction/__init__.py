"""The paper's experiments as one plan, and what is drawn of them."""
