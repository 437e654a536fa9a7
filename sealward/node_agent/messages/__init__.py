"""Messages between an agent and the control plane, and the trust in their keys."""
