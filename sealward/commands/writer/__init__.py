"""The one writer: streams are loaded, a command is decided, events are appended."""
