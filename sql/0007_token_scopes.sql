-- Which scopes a token has, as bits (src/base/scope.def in its order); NULL: all that its owner's role has.
ALTER TABLE token ADD COLUMN scopes $INT;
