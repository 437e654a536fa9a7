"""Operations on a running server that its definition does not show: taints and block jobs."""
