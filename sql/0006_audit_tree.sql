-- Signed states of the audit log, and its hash tree (RFC 6962): of the nodes those of every eighth level, each once its subtree is full.

CREATE TABLE audit_checkpoint (
	size $INT NOT NULL PRIMARY KEY,
	time_at $INT NOT NULL,
	epoch $INT NOT NULL,
	head $BYTES NOT NULL,
	root $BYTES NOT NULL,
	signature $BYTES NOT NULL
) $TABLE_END;

CREATE TABLE audit_node (
	level $INT NOT NULL,
	number $INT NOT NULL,
	hash $BYTES NOT NULL,
	PRIMARY KEY (level, number)
) $TABLE_END_WITHOUT_ROWID;
