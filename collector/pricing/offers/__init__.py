"""Published price lists: each shape read by a parser of its own, and made into a price book for a person to review."""
