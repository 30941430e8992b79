-- SPDX-License-Identifier: GPL-2.0-or-later
CREATE TABLE item(id INTEGER PRIMARY KEY, kind INTEGER, name TEXT, price INTEGER);
CREATE INDEX item_kind ON item(kind, price);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 15000)
INSERT INTO item SELECT i, i * 7919 % 101, 'item ' || (i * 104729 % 15013), i * 31 % 9973 FROM n;
COMMIT;
SELECT count(*), sum(price), min(name), max(name) FROM item;
SELECT kind, count(*), sum(price) FROM item GROUP BY kind ORDER BY 3 DESC, 1 LIMIT 5;
SELECT a.kind, count(*) FROM item a JOIN item b ON b.kind = a.kind AND b.price = a.price + 31
    GROUP BY a.kind ORDER BY 2 DESC, 1 LIMIT 5;
UPDATE item SET price = price + 1 WHERE name LIKE '%7%';
DELETE FROM item WHERE kind % 3 = 0;
SELECT count(*), sum(price), sum(length(name)) FROM item;
DROP TABLE item;
