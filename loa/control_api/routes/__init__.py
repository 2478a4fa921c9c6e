"""Handlers, one file a resource. Which route leads to which, and what it needs, stands in control_api/table.py."""
