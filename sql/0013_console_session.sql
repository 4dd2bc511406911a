-- Which token a session of the console was made from; NULL: a token that was shown to somebody.
ALTER TABLE token ADD COLUMN parent $INT;
CREATE INDEX token_session ON token (principal, id) WHERE parent IS NOT NULL;
