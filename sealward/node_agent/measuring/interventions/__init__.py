"""What is done to a running server beside its definition: taints and block jobs."""
