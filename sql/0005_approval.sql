-- What a human has to say yes to before an agent does it. hash: of workspace, agent, action, arguments and policy version. priority: 1 low,
-- 2 medium, 3 high, 4 urgent. status: 1 pending, 2 approved, 3 consumed, 4 rejected, 5 expired, 6 cancelled. requester: the principal that asked.
CREATE TABLE approval (
	id $INT NOT NULL PRIMARY KEY,
	workspace $INT NOT NULL,
	agent $INT NOT NULL,
	requester $INT NOT NULL,
	action $TEXT NOT NULL,
	arguments $TEXT NOT NULL,
	arguments_hash $BYTES NOT NULL,
	hash $BYTES NOT NULL,
	policy_version $INT NOT NULL,
	reason $TEXT NOT NULL,
	priority $INT NOT NULL CHECK (priority BETWEEN 1 AND 4),
	status $INT NOT NULL CHECK (status BETWEEN 1 AND 6),
	requested_at $INT NOT NULL,
	expires_at $INT NOT NULL,
	decided_by $INT,
	decided_at $INT,
	consumed_at $INT,
	note $TEXT
) $TABLE_END;
-- The same request waits once.
CREATE UNIQUE INDEX approval_pending ON approval (hash) WHERE status = 1;
CREATE INDEX approval_waiting ON approval (agent) WHERE status = 1;
CREATE INDEX approval_open ON approval (expires_at) WHERE status <= 2;
CREATE INDEX approval_workspace ON approval (workspace, id);
