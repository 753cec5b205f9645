"""Alert and recording rules, and what is made of them."""
