-- Comparing the table tree_runs with the shadow of a replay, and replacing its rows.

-- name: wrong
SELECT * FROM main.tree_runs EXCEPT SELECT * FROM shadow.tree_runs

-- name: missing
SELECT * FROM shadow.tree_runs EXCEPT SELECT * FROM main.tree_runs

-- name: clear
DELETE FROM main.tree_runs

-- name: fill
INSERT INTO main.tree_runs SELECT * FROM shadow.tree_runs
