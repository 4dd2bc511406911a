-- People who are erased, or were: how far that is, so that it goes on after a restart. part, after_key: where the work stands (ops/erase.c).
-- pass: it is gone over again until a pass finds nothing; found: rows of this pass. Names nobody: a principal's key alone.
CREATE TABLE erasure (
	principal $INT NOT NULL PRIMARY KEY,
	workspace $INT NOT NULL,
	requested_by $INT NOT NULL,
	requested_at $INT NOT NULL,
	part $INT NOT NULL,
	after_key $INT NOT NULL,
	pass $INT NOT NULL,
	found $INT NOT NULL,
	rows_erased $INT NOT NULL,
	ended_at $INT
) $TABLE_END;
