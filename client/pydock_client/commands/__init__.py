"""The commands, one module for each or for a group that belongs together. Imported by catalog.py when called."""
