"""The content of files: read, hashed as a tree, and remembered."""
