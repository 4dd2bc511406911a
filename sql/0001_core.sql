-- The store's first schema. Rules (docs/decisions/0001-store.md): int64 keys inside, few append-shaped indexes, one turn row a
-- chat, one log row a transaction. Types only through tokens; enum words live in C, their numbers here.

CREATE TABLE meta (
	name $TEXT NOT NULL PRIMARY KEY,
	value $BYTES NOT NULL
) $TABLE_END;

CREATE TABLE workspace (
	id $INT NOT NULL PRIMARY KEY,
	name $TEXT NOT NULL,
	default_agent $INT,
	created_at $INT NOT NULL
) $TABLE_END;

-- kind: 1 human, 2 agent, 3 system. role: 1 viewer, 2 member, 3 admin, 4 operator, 5 agent.
CREATE TABLE principal (
	id $INT NOT NULL PRIMARY KEY,
	workspace $INT NOT NULL REFERENCES workspace (id),
	kind $INT NOT NULL CHECK (kind BETWEEN 1 AND 3),
	role $INT NOT NULL CHECK (role BETWEEN 1 AND 5),
	name $TEXT NOT NULL,
	external_id $TEXT,
	agent $INT,
	specialty $TEXT NOT NULL,
	disabled_at $INT,
	created_at $INT NOT NULL
) $TABLE_END;
CREATE UNIQUE INDEX principal_external ON principal (workspace, external_id) WHERE external_id IS NOT NULL;

CREATE TABLE token (
	id $INT NOT NULL PRIMARY KEY,
	principal $INT NOT NULL REFERENCES principal (id),
	hash $BYTES NOT NULL,
	label $TEXT NOT NULL,
	created_at $INT NOT NULL,
	expires_at $INT,
	revoked_at $INT
) $TABLE_END;

-- maturity: 1 student .. 4 autonomous. lifecycle: 1 active, 2 paused, 3 stopped, 4 archived. kind: 1 hosted, 2 external.
CREATE TABLE agent (
	id $INT NOT NULL PRIMARY KEY,
	workspace $INT NOT NULL REFERENCES workspace (id),
	name $TEXT NOT NULL,
	handle $TEXT NOT NULL,
	description $TEXT NOT NULL,
	category $TEXT NOT NULL,
	maturity $INT NOT NULL CHECK (maturity BETWEEN 1 AND 4),
	lifecycle $INT NOT NULL CHECK (lifecycle BETWEEN 1 AND 4),
	confidence_e4 $INT NOT NULL CHECK (confidence_e4 BETWEEN 0 AND 10000),
	kind $INT NOT NULL CHECK (kind IN (1, 2)),
	provider $TEXT,
	model $TEXT,
	capabilities $TEXT NOT NULL,
	system_prompt $TEXT,
	configuration $TEXT,
	max_concurrent_runs $INT NOT NULL,
	auto_reply $INT NOT NULL CHECK (auto_reply IN (0, 1)),
	is_system $INT NOT NULL CHECK (is_system IN (0, 1)),
	owner $INT,
	created_at $INT NOT NULL,
	updated_at $INT NOT NULL,
	revision $INT NOT NULL
) $TABLE_END;
CREATE UNIQUE INDEX agent_handle ON agent (workspace, handle);

CREATE TABLE session (
	id $INT NOT NULL PRIMARY KEY,
	workspace $INT NOT NULL,
	owner $INT NOT NULL REFERENCES principal (id),
	agent $INT,
	title $TEXT NOT NULL,
	channel $TEXT NOT NULL,
	message_count $INT NOT NULL,
	open_count $INT NOT NULL,
	created_at $INT NOT NULL,
	updated_at $INT NOT NULL,
	revision $INT NOT NULL
) $TABLE_END;
-- open_count: turns queued or running, so that tx1 sees a busy session in the row it touches anyway.
CREATE INDEX session_owner ON session (owner, id);

-- A turn is an execution with its messages. status: 1 queued, 2 running, 3 completed, 4 failed, 5 cancelled, 6 timed_out,
-- 7 interrupted. answer is the assistant message when has_answer = 1, else the partial response. delta_lens: one LEB128 number
-- per delta, its length in bytes, so that every numbered update can be made again from answer.
CREATE TABLE turn (
	id $INT NOT NULL PRIMARY KEY,
	session $INT,
	workspace $INT NOT NULL,
	agent $INT NOT NULL REFERENCES agent (id),
	agent_name $TEXT NOT NULL,
	owner $INT NOT NULL,
	status $INT NOT NULL CHECK (status BETWEEN 1 AND 7),
	action $TEXT NOT NULL,
	triggered_by $INT NOT NULL,
	message $TEXT NOT NULL,
	answer $TEXT,
	has_answer $INT NOT NULL CHECK (has_answer IN (0, 1)),
	partial $INT NOT NULL CHECK (partial IN (0, 1)),
	rolled_back $INT NOT NULL CHECK (rolled_back IN (0, 1)),
	delta_lens $BYTES,
	started_at $INT NOT NULL,
	ended_at $INT,
	duration_ms $INT,
	error_code $TEXT,
	error_message $TEXT,
	provider $TEXT,
	model $TEXT,
	tokens_in $INT NOT NULL,
	tokens_out $INT NOT NULL,
	estimated $INT NOT NULL CHECK (estimated IN (0, 1)),
	cost_micro $INT NOT NULL,
	cost_unknown $INT NOT NULL CHECK (cost_unknown IN (0, 1)),
	epoch $INT NOT NULL,
	seq_last $INT NOT NULL,
	truncated $INT NOT NULL CHECK (truncated IN (0, 1)),
	finish_reason $TEXT,
	resolution $TEXT NOT NULL,
	metadata $TEXT NOT NULL
) $TABLE_END;
CREATE INDEX turn_session ON turn (session, id);
-- Only of turns queued or running: whom a session answers, and who is next, whatever lies between them.
CREATE INDEX turn_open ON turn (session, id) WHERE status <= 2;

CREATE TABLE token_batch (
	execution $INT NOT NULL,
	seq_first $INT NOT NULL,
	seq_last $INT NOT NULL,
	epoch $INT NOT NULL,
	delta_lens $BYTES NOT NULL,
	body $TEXT NOT NULL,
	PRIMARY KEY (execution, seq_first)
) $TABLE_END_WITHOUT_ROWID;

CREATE TABLE log (
	seq $INT NOT NULL PRIMARY KEY,
	time_at $INT NOT NULL,
	kinds $INT NOT NULL,
	workspace $INT NOT NULL,
	principal $INT NOT NULL,
	agent $INT NOT NULL,
	execution $INT NOT NULL,
	session $INT NOT NULL,
	action $TEXT NOT NULL,
	outcome $INT NOT NULL,
	entry $TEXT,
	entry_hash $BYTES NOT NULL,
	hash $BYTES NOT NULL,
	reserve_micro $INT NOT NULL,
	settle_micro $INT NOT NULL,
	cost_unknown $INT NOT NULL CHECK (cost_unknown IN (0, 1)),
	event_type $TEXT,
	event_data $TEXT,
	topics $TEXT,
	job $TEXT
) $TABLE_END;

CREATE TABLE provider_key (
	id $INT NOT NULL PRIMARY KEY,
	workspace $INT NOT NULL,
	owner $INT,
	provider $TEXT NOT NULL,
	base_url $TEXT NOT NULL,
	sealed $BYTES NOT NULL,
	shown $TEXT NOT NULL,
	created_at $INT NOT NULL,
	guarded $INT NOT NULL
) $TABLE_END;
