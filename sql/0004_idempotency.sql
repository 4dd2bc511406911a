-- What was done under a client's key, for 48 hours: written in the transaction of the work itself. No second index: a row is found by its
-- key alone, and old ones are swept out in the order of keys. key_hash: first 16 bytes of a SHA-256 over who asked, the route, and the
-- key. process: a number of the server's start that made the row. execution 0: none; log_seq 0: nothing was logged. status 0: the
-- answer is not stored (yet): it is made again of the run or of the log row.
CREATE TABLE idempotency (
	key_hash $BYTES NOT NULL PRIMARY KEY,
	request_hash $BYTES NOT NULL,
	principal $INT NOT NULL,
	made_at $INT NOT NULL,
	process $INT NOT NULL,
	execution $INT NOT NULL,
	log_seq $INT NOT NULL,
	status $INT NOT NULL,
	reply $TEXT NOT NULL
) $TABLE_END_WITHOUT_ROWID;
