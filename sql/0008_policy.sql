-- What admins changed in a workspace's action table. level: 1 to 4. since: the version that brought the entry.
CREATE TABLE policy_override (
	workspace $INT NOT NULL,
	action $TEXT NOT NULL,
	level $INT NOT NULL CHECK (level BETWEEN 1 AND 4),
	since $INT NOT NULL,
	PRIMARY KEY (workspace, action)
) $TABLE_END_WITHOUT_ROWID;

-- Each change of a table. action NULL: the defaults, or the setting governance.unknown_level, were other ones at a start. Hashes: SHA-256 of the table.
CREATE TABLE policy_change (
	workspace $INT NOT NULL,
	version $INT NOT NULL,
	action $TEXT,
	old_level $INT,
	level $INT,
	overridden $INT NOT NULL CHECK (overridden IN (0, 1)),
	old_hash $BYTES NOT NULL,
	hash $BYTES NOT NULL,
	reason $TEXT,
	changed_by $INT,
	changed_at $INT NOT NULL,
	PRIMARY KEY (workspace, version)
) $TABLE_END_WITHOUT_ROWID;

-- The table's version and hash, and what is in force besides it: an emergency until then, all agents stopped.
CREATE TABLE policy_state (
	workspace $INT NOT NULL PRIMARY KEY,
	version $INT NOT NULL,
	hash $BYTES NOT NULL,
	emergency_since $INT,
	emergency_until $INT,
	emergency_by $INT,
	emergency_reason $TEXT,
	stopped_since $INT,
	stopped_by $INT,
	stopped_reason $TEXT
) $TABLE_END;

CREATE INDEX policy_emergency ON policy_state (emergency_until) WHERE emergency_until IS NOT NULL;

-- Approvals that were asked for under a table that is no longer in force end.
CREATE INDEX approval_stale ON approval (workspace, policy_version) WHERE status <= 2;
