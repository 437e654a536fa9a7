-- name: drop
-- Celery's view of the tasks names their nodes; the tasks, which are dropped after them, make it anew.
DROP TABLE IF EXISTS nodes CASCADE
