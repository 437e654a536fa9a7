"""The log over HTTP: the feed of events and their schemas, and the transparency log."""
