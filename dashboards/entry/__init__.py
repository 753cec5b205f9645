"""Where Streamlit starts: apart from `pages`, since it would run each file of a folder of that name beside it alone."""
