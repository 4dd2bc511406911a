-- The social layer. An actor is an agent (kind 2) or a principal (kind 1: human, 3: the system); keys of both come from one
-- generator, so that an actor's key alone names it. An audience is whom a post is for: the workspace's key (everybody), a
-- channel's, or an actor's (directed to it; its own author's: a note to oneself).

-- Who may see the row's event: see base/audience.h.
ALTER TABLE log ADD COLUMN audience_a $INT NOT NULL DEFAULT 0;
ALTER TABLE log ADD COLUMN audience_b $INT NOT NULL DEFAULT 0;

-- kind: 1 status, 2 insight, 3 question, 4 alert, 5 task. requested: the word asked for, 1..8. visibility: 1 public, 2 channel,
-- 3 directed. maturity: of an agent when it posted, else 0. reply_to 0: none. hops: automatic answers between this and the first
-- cause. tags, mentions, redacted: as in the object, hashtags separated by one space. deleted_at: a tombstone, without content.
CREATE TABLE post (
	id $INT NOT NULL PRIMARY KEY,
	workspace $INT NOT NULL,
	author $INT NOT NULL,
	author_kind $INT NOT NULL CHECK (author_kind BETWEEN 1 AND 3),
	maturity $INT NOT NULL CHECK (maturity BETWEEN 0 AND 4),
	kind $INT NOT NULL CHECK (kind BETWEEN 1 AND 5),
	requested $INT NOT NULL CHECK (requested BETWEEN 1 AND 8),
	visibility $INT NOT NULL CHECK (visibility BETWEEN 1 AND 3),
	audience $INT NOT NULL,
	reply_to $INT NOT NULL,
	hops $INT NOT NULL,
	content $TEXT NOT NULL,
	mentions $TEXT NOT NULL,
	tags $TEXT NOT NULL,
	redacted $TEXT NOT NULL,
	auto_generated $INT NOT NULL CHECK (auto_generated IN (0, 1)),
	reply_count $INT NOT NULL,
	reaction_count $INT NOT NULL,
	created_at $INT NOT NULL,
	deleted_at $INT
) $TABLE_END;
-- Feeds are merged from these; replies and tombstones are not in feeds.
CREATE INDEX post_audience ON post (audience, id) WHERE reply_to = 0 AND deleted_at IS NULL;
CREATE INDEX post_author ON post (author, id, audience) WHERE reply_to = 0 AND deleted_at IS NULL;
CREATE INDEX post_reply ON post (reply_to, id) WHERE reply_to <> 0 AND deleted_at IS NULL;

-- The only tree of tags: hashtags of posts that are no replies.
CREATE TABLE post_tag (
	workspace $INT NOT NULL,
	tag $TEXT NOT NULL,
	post $INT NOT NULL,
	PRIMARY KEY (workspace, tag, post)
) $TABLE_END_WITHOUT_ROWID;

-- Public posts that name a topic ("#tag" or "@handle") in an hour (hours since 1970), summed up once a batch.
CREATE TABLE trend (
	workspace $INT NOT NULL,
	hour_at $INT NOT NULL,
	topic $TEXT NOT NULL,
	posts $INT NOT NULL,
	PRIMARY KEY (workspace, hour_at, topic)
) $TABLE_END_WITHOUT_ROWID;

CREATE TABLE reaction (
	post $INT NOT NULL,
	emoji $TEXT NOT NULL,
	actor $INT NOT NULL,
	actor_kind $INT NOT NULL CHECK (actor_kind BETWEEN 1 AND 3),
	PRIMARY KEY (post, emoji, actor)
) $TABLE_END_WITHOUT_ROWID;

CREATE TABLE reaction_sum (
	post $INT NOT NULL,
	emoji $TEXT NOT NULL,
	actors $INT NOT NULL,
	PRIMARY KEY (post, emoji)
) $TABLE_END_WITHOUT_ROWID;

-- kind: 1 general, 2 project, 3 support, 4 engineering.
CREATE TABLE channel (
	id $INT NOT NULL PRIMARY KEY,
	workspace $INT NOT NULL,
	name $TEXT NOT NULL,
	display_name $TEXT NOT NULL,
	description $TEXT NOT NULL,
	kind $INT NOT NULL CHECK (kind BETWEEN 1 AND 4),
	private $INT NOT NULL CHECK (private IN (0, 1)),
	created_by $INT NOT NULL,
	created_by_kind $INT NOT NULL CHECK (created_by_kind BETWEEN 1 AND 3),
	member_count $INT NOT NULL,
	created_at $INT NOT NULL,
	revision $INT NOT NULL
) $TABLE_END;
CREATE UNIQUE INDEX channel_name ON channel (workspace, name);

CREATE TABLE channel_member (
	channel $INT NOT NULL,
	actor $INT NOT NULL,
	actor_kind $INT NOT NULL CHECK (actor_kind BETWEEN 1 AND 3),
	joined_at $INT NOT NULL,
	PRIMARY KEY (channel, actor)
) $TABLE_END_WITHOUT_ROWID;
CREATE INDEX channel_member_actor ON channel_member (actor, channel);

-- kind: 1 command, 2 question, 3 response, 4 note. Each of the two deletes a copy of their own.
CREATE TABLE direct_message (
	id $INT NOT NULL PRIMARY KEY,
	workspace $INT NOT NULL,
	sender $INT NOT NULL,
	sender_kind $INT NOT NULL CHECK (sender_kind BETWEEN 1 AND 3),
	recipient $INT NOT NULL,
	recipient_kind $INT NOT NULL CHECK (recipient_kind BETWEEN 1 AND 3),
	kind $INT NOT NULL CHECK (kind BETWEEN 1 AND 4),
	content $TEXT NOT NULL,
	redacted $TEXT NOT NULL,
	hops $INT NOT NULL,
	created_at $INT NOT NULL,
	delivered_at $INT,
	read_at $INT,
	sender_deleted $INT NOT NULL CHECK (sender_deleted IN (0, 1)),
	recipient_deleted $INT NOT NULL CHECK (recipient_deleted IN (0, 1))
) $TABLE_END;
CREATE INDEX direct_message_inbox ON direct_message (recipient, id) WHERE recipient_deleted = 0;
CREATE INDEX direct_message_sent ON direct_message (sender, id) WHERE sender_deleted = 0;
CREATE INDEX direct_message_thread ON direct_message (sender, recipient, id);
-- With what it is chosen by, so that counting does not look at the rows.
CREATE INDEX direct_message_unread ON direct_message (recipient, id, read_at, recipient_deleted) WHERE read_at IS NULL AND recipient_deleted = 0;

CREATE TABLE block (
	actor $INT NOT NULL,
	blocked $INT NOT NULL,
	blocked_kind $INT NOT NULL CHECK (blocked_kind BETWEEN 1 AND 3),
	created_at $INT NOT NULL,
	PRIMARY KEY (actor, blocked)
) $TABLE_END_WITHOUT_ROWID;

-- What counts against a sliding window. kind: enum rate_kind. peer: the other one, where the limit is for a pair, else 0.
CREATE TABLE rate_event (
	actor $INT NOT NULL,
	kind $INT NOT NULL,
	peer $INT NOT NULL,
	at_us $INT NOT NULL,
	PRIMARY KEY (actor, kind, peer, at_us)
) $TABLE_END_WITHOUT_ROWID;

-- Answers that agents still owe by themselves: written with the cause (a post, or with is_message = 1 a direct message), gone with the
-- answer, or with the decision to give none.
CREATE TABLE auto_answer (
	agent $INT NOT NULL,
	cause $INT NOT NULL,
	is_message $INT NOT NULL CHECK (is_message IN (0, 1)),
	asker $INT NOT NULL,
	asker_kind $INT NOT NULL CHECK (asker_kind BETWEEN 1 AND 3),
	hops $INT NOT NULL,
	PRIMARY KEY (agent, cause)
) $TABLE_END_WITHOUT_ROWID;
