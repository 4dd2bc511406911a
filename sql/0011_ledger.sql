-- Money, in millionths of the currency. The ledger is in the log: a run's opening row reserves, its closing row gives that back and settles what it cost.
-- month: the one in which the run was recorded, in its workspace's time zone: year * 12 + month - 1; 0: no part of the ledger.
ALTER TABLE log ADD COLUMN month $INT NOT NULL DEFAULT 0;

-- What a run reserved, and about how many tokens its prompt has.
ALTER TABLE turn ADD COLUMN month $INT NOT NULL DEFAULT 0;
ALTER TABLE turn ADD COLUMN reserve_micro $INT NOT NULL DEFAULT 0;
ALTER TABLE turn ADD COLUMN prompt_tokens $INT NOT NULL DEFAULT 0;

-- Sums of the ledger, written once a batch. scope: the key of a workspace (kind 1), a principal (2) or an agent (3).
CREATE TABLE balance (
	scope $INT NOT NULL,
	month $INT NOT NULL,
	kind $INT NOT NULL CHECK (kind BETWEEN 1 AND 3),
	workspace $INT NOT NULL,
	reserved $INT NOT NULL,
	settled $INT NOT NULL,
	PRIMARY KEY (scope, month)
) $TABLE_END_WITHOUT_ROWID;

-- What runs that cost something came to, by the quarter of an hour (since 1970) in which they were recorded: a quarter is in one day of any time zone.
CREATE TABLE spend (
	workspace $INT NOT NULL,
	quarter $INT NOT NULL,
	agent $INT NOT NULL,
	owner $INT NOT NULL,
	provider $TEXT NOT NULL,
	model $TEXT NOT NULL,
	cost $INT NOT NULL,
	cost_unknown $INT NOT NULL,
	runs $INT NOT NULL,
	tokens_in $INT NOT NULL,
	tokens_out $INT NOT NULL,
	PRIMARY KEY (workspace, quarter, agent, owner, provider, model)
) $TABLE_END_WITHOUT_ROWID;

-- limits: 1 warn, 2 hard. limit_micro NULL: none. time_zone: of a workspace's months. alerted: the thresholds passed in alert_month, as bits.
CREATE TABLE budget (
	scope $INT NOT NULL PRIMARY KEY,
	kind $INT NOT NULL CHECK (kind BETWEEN 1 AND 3),
	workspace $INT NOT NULL,
	limits $INT NOT NULL CHECK (limits IN (1, 2)),
	limit_micro $INT,
	time_zone $TEXT NOT NULL,
	alert_month $INT NOT NULL,
	alerted $INT NOT NULL,
	updated_at $INT NOT NULL,
	updated_by $INT NOT NULL,
	revision $INT NOT NULL
) $TABLE_END;
CREATE INDEX budget_workspace ON budget (workspace, scope);
