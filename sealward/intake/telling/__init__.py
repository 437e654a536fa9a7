"""Messages to nodes: events that a node must hear, answers, reminders."""
