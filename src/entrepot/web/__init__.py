"""The HTML door: views, templates and static files for people with a browser."""
