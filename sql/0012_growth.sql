-- What is counted of each agent (agent/tally.h), and what people say of its work.

CREATE TABLE agent_tally (
	agent $INT NOT NULL PRIMARY KEY,
	workspace $INT NOT NULL,
	since_at $INT NOT NULL,
	runs $INT NOT NULL,
	successes $INT NOT NULL,
	cancels $INT NOT NULL,
	corrections $INT NOT NULL,
	rejections $INT NOT NULL,
	actions $INT NOT NULL,
	refusals $INT NOT NULL,
	reactions $INT NOT NULL,
	helpful $INT NOT NULL,
	posts $INT NOT NULL,
	points $INT NOT NULL
) $TABLE_END;
-- An agent's place among all.
CREATE INDEX agent_tally_points ON agent_tally (workspace, points);

-- Points by day (days since 1970).
CREATE TABLE agent_day (
	agent $INT NOT NULL,
	day_at $INT NOT NULL,
	points $INT NOT NULL,
	PRIMARY KEY (agent, day_at)
) $TABLE_END_WITHOUT_ROWID;

-- thumbs: 0 none, 1 up, 2 down. rating: 0 none, 1..5. execution, post 0: of the agent as such. status: 1 pending, 2 accepted, 3 rejected.
-- delta_e4: what acceptance moves confidence by.
CREATE TABLE feedback (
	id $INT NOT NULL PRIMARY KEY,
	workspace $INT NOT NULL,
	agent $INT NOT NULL,
	principal $INT NOT NULL,
	execution $INT NOT NULL,
	post $INT NOT NULL,
	thumbs $INT NOT NULL CHECK (thumbs BETWEEN 0 AND 2),
	rating $INT NOT NULL CHECK (rating BETWEEN 0 AND 5),
	correction $TEXT,
	trusted $INT NOT NULL CHECK (trusted IN (0, 1)),
	status $INT NOT NULL CHECK (status BETWEEN 1 AND 3),
	delta_e4 $INT NOT NULL,
	created_at $INT NOT NULL,
	decided_by $INT,
	decided_at $INT,
	note $TEXT
) $TABLE_END;
CREATE INDEX feedback_workspace ON feedback (workspace, id);
CREATE INDEX feedback_pending ON feedback (workspace, id) WHERE status = 1;
CREATE INDEX feedback_waiting ON feedback (principal) WHERE status = 1;
-- Each says it once of a thing.
CREATE UNIQUE INDEX feedback_execution ON feedback (execution, principal) WHERE execution <> 0;
CREATE UNIQUE INDEX feedback_post ON feedback (post, principal) WHERE post <> 0;

INSERT INTO agent_tally (agent, workspace, since_at, runs, successes, cancels, corrections, rejections, actions, refusals, reactions, helpful,
	posts, points)
SELECT made.author, made.workspace, 0, 0, 0, 0, 0, 0, 0, 0, sum(made.reactions), 0, count(*), 2 * sum(made.reactions) + count(*)
FROM (SELECT p.author AS author, p.workspace AS workspace,
	(SELECT count(*) FROM reaction r WHERE r.post = p.id AND r.actor <> p.author) AS reactions
	FROM post p WHERE p.author_kind = 2 AND p.visibility = 1 AND p.deleted_at IS NULL) AS made
GROUP BY made.author, made.workspace;
