-- Comparing and swapping each table with its shadow, which is attached under that name.

-- name: signs-wrong
SELECT * FROM main.signs EXCEPT SELECT * FROM shadow.signs

-- name: signs-missing
SELECT * FROM shadow.signs EXCEPT SELECT * FROM main.signs

-- name: signs-clear
DELETE FROM main.signs

-- name: signs-fill
INSERT INTO main.signs SELECT * FROM shadow.signs

-- name: envelopes-wrong
SELECT * FROM main.envelopes EXCEPT SELECT * FROM shadow.envelopes

-- name: envelopes-missing
SELECT * FROM shadow.envelopes EXCEPT SELECT * FROM main.envelopes

-- name: envelopes-clear
DELETE FROM main.envelopes

-- name: envelopes-fill
INSERT INTO main.envelopes SELECT * FROM shadow.envelopes

-- name: nodes-wrong
SELECT * FROM main.nodes EXCEPT SELECT * FROM shadow.nodes

-- name: nodes-missing
SELECT * FROM shadow.nodes EXCEPT SELECT * FROM main.nodes

-- name: nodes-clear
DELETE FROM main.nodes

-- name: nodes-fill
INSERT INTO main.nodes SELECT * FROM shadow.nodes

-- name: hosts-wrong
SELECT * FROM main.hosts EXCEPT SELECT * FROM shadow.hosts

-- name: hosts-missing
SELECT * FROM shadow.hosts EXCEPT SELECT * FROM main.hosts

-- name: hosts-clear
DELETE FROM main.hosts

-- name: hosts-fill
INSERT INTO main.hosts SELECT * FROM shadow.hosts

-- name: servers-wrong
SELECT * FROM main.servers EXCEPT SELECT * FROM shadow.servers

-- name: servers-missing
SELECT * FROM shadow.servers EXCEPT SELECT * FROM main.servers

-- name: servers-clear
DELETE FROM main.servers

-- name: servers-fill
INSERT INTO main.servers SELECT * FROM shadow.servers

-- name: tasks-wrong
SELECT * FROM main.tasks EXCEPT SELECT * FROM shadow.tasks

-- name: tasks-missing
SELECT * FROM shadow.tasks EXCEPT SELECT * FROM main.tasks

-- name: tasks-clear
DELETE FROM main.tasks

-- name: tasks-fill
INSERT INTO main.tasks SELECT * FROM shadow.tasks

-- name: history-wrong
SELECT * FROM main.history EXCEPT SELECT * FROM shadow.history

-- name: history-missing
SELECT * FROM shadow.history EXCEPT SELECT * FROM main.history

-- name: history-clear
DELETE FROM main.history

-- name: history-fill
INSERT INTO main.history SELECT * FROM shadow.history

-- name: totals-wrong
SELECT * FROM main.totals EXCEPT SELECT * FROM shadow.totals

-- name: totals-missing
SELECT * FROM shadow.totals EXCEPT SELECT * FROM main.totals

-- name: totals-clear
DELETE FROM main.totals

-- name: totals-fill
INSERT INTO main.totals SELECT * FROM shadow.totals

-- name: set_aside-wrong
-- When an event was set aside, and in which words, may differ.
SELECT position, topic, reason FROM main.set_aside EXCEPT SELECT position, topic, reason FROM shadow.set_aside

-- name: set_aside-missing
SELECT position, topic, reason FROM shadow.set_aside EXCEPT SELECT position, topic, reason FROM main.set_aside

-- name: set_aside-clear
DELETE FROM main.set_aside

-- name: set_aside-fill
INSERT INTO main.set_aside SELECT * FROM shadow.set_aside

-- name: tree_tiles-wrong
SELECT level, number FROM (SELECT * FROM main.tree_tiles EXCEPT SELECT * FROM shadow.tree_tiles) AS wrong
ORDER BY level, number

-- name: tree_tiles-missing
SELECT level, number FROM (SELECT * FROM shadow.tree_tiles EXCEPT SELECT * FROM main.tree_tiles) AS missing
ORDER BY level, number

-- name: tree_tiles-clear
DELETE FROM main.tree_tiles

-- name: tree_tiles-fill
INSERT INTO main.tree_tiles SELECT * FROM shadow.tree_tiles

-- name: tree_runs-wrong
SELECT * FROM main.tree_runs EXCEPT SELECT * FROM shadow.tree_runs

-- name: tree_runs-missing
SELECT * FROM shadow.tree_runs EXCEPT SELECT * FROM main.tree_runs

-- name: tree_runs-clear
DELETE FROM main.tree_runs

-- name: tree_runs-fill
INSERT INTO main.tree_runs SELECT * FROM shadow.tree_runs
