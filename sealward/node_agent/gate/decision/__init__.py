"""The decision whether a server may start."""
