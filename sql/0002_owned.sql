-- What somebody has, found without walking over what others have: a change of role ends a user's tokens, a quota counts.
CREATE INDEX token_live ON token (principal, id) WHERE revoked_at IS NULL;
CREATE INDEX agent_owner ON agent (owner, id);
