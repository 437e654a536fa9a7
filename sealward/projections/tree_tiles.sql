-- Comparing the table tree_tiles with the shadow of a replay, and replacing its rows.

-- name: wrong
SELECT level, number FROM (SELECT * FROM main.tree_tiles EXCEPT SELECT * FROM shadow.tree_tiles) AS wrong
ORDER BY level, number

-- name: missing
SELECT level, number FROM (SELECT * FROM shadow.tree_tiles EXCEPT SELECT * FROM main.tree_tiles) AS missing
ORDER BY level, number

-- name: clear
DELETE FROM main.tree_tiles

-- name: fill
INSERT INTO main.tree_tiles SELECT * FROM shadow.tree_tiles
