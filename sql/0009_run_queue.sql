-- What a queued turn waits for besides its session, and in which order it is taken. priority: 1 low, 2 medium, 3 high, 4 urgent. ready: it
-- waits for nothing but a place. delegated: it waits for no place. Gone when the turn is running or over.
CREATE TABLE run_queue (
	workspace $INT NOT NULL,
	turn $INT NOT NULL,
	agent $INT NOT NULL,
	session $INT NOT NULL,
	priority $INT NOT NULL CHECK (priority BETWEEN 1 AND 4),
	queued_at $INT NOT NULL,
	ready $INT NOT NULL CHECK (ready IN (0, 1)),
	delegated $INT NOT NULL CHECK (delegated IN (0, 1)),
	PRIMARY KEY (workspace, turn)
) $TABLE_END_WITHOUT_ROWID;

-- turn runs after dependency has completed. Gone when that has completed, or when turn is over.
CREATE TABLE run_after (
	dependency $INT NOT NULL,
	turn $INT NOT NULL,
	PRIMARY KEY (dependency, turn)
) $TABLE_END_WITHOUT_ROWID;
CREATE INDEX run_after_turn ON run_after (turn);
