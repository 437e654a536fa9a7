"""The wire form of events, in the log and for subscribers."""
