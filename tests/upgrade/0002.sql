-- A store of schema 2 as its program left it: an operator, a user, a paused student, a conversation of four messages, a refusal.
-- token: guild_ExLkstYVk3nsIqyky_E4UQ9AVxWSzU3QI6iYiDCCQQQ
-- session: 01a20531-7eba-7000-8024-c3c3d183ca53
-- agent: 01a20531-7ecd-7000-8001-de1838a76499
PRAGMA page_size=4096;
PRAGMA application_id=1196772420;
PRAGMA user_version=2;
BEGIN TRANSACTION;
CREATE TABLE agent (
	id INTEGER NOT NULL PRIMARY KEY,
	workspace INTEGER NOT NULL REFERENCES workspace (id),
	name TEXT NOT NULL,
	handle TEXT NOT NULL,
	description TEXT NOT NULL,
	category TEXT NOT NULL,
	maturity INTEGER NOT NULL CHECK (maturity BETWEEN 1 AND 4),
	lifecycle INTEGER NOT NULL CHECK (lifecycle BETWEEN 1 AND 4),
	confidence_e4 INTEGER NOT NULL CHECK (confidence_e4 BETWEEN 0 AND 10000),
	kind INTEGER NOT NULL CHECK (kind IN (1, 2)),
	provider TEXT,
	model TEXT,
	capabilities TEXT NOT NULL,
	system_prompt TEXT,
	configuration TEXT,
	max_concurrent_runs INTEGER NOT NULL,
	auto_reply INTEGER NOT NULL CHECK (auto_reply IN (0, 1)),
	is_system INTEGER NOT NULL CHECK (is_system IN (0, 1)),
	owner INTEGER,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	revision INTEGER NOT NULL
)  STRICT;
INSERT INTO "agent" VALUES(456228412049063936,456228412034383872,'Chat Assistant','chat-assistant','Answers when no other agent was asked.','system',2,1,6200,1,NULL,NULL,'[]','You are a helpful assistant. Answer clearly and briefly.',NULL,0,0,1,NULL,1795383459494022,1795383459494022,1);
INSERT INTO "agent" VALUES(456228412132950016,456228412034383872,'Ada','ada','','general',1,2,5000,1,NULL,NULL,'[]',NULL,NULL,0,0,0,456228412034383874,1795383459533825,1795383459542172,2);
CREATE TABLE log (
	seq INTEGER NOT NULL PRIMARY KEY,
	time_at INTEGER NOT NULL,
	kinds INTEGER NOT NULL,
	workspace INTEGER NOT NULL,
	principal INTEGER NOT NULL,
	agent INTEGER NOT NULL,
	execution INTEGER NOT NULL,
	session INTEGER NOT NULL,
	action TEXT NOT NULL,
	outcome INTEGER NOT NULL,
	entry TEXT,
	entry_hash BLOB NOT NULL,
	hash BLOB NOT NULL,
	reserve_micro INTEGER NOT NULL,
	settle_micro INTEGER NOT NULL,
	cost_unknown INTEGER NOT NULL CHECK (cost_unknown IN (0, 1)),
	event_type TEXT,
	event_data TEXT,
	topics TEXT,
	job TEXT
)  STRICT;
INSERT INTO "log" VALUES(1,1795383459487989,1,456228412034383872,0,0,0,0,'configure',7,'{"action":"configure","agent_id":null,"agent_name":null,"change":{"new":{"principal_id":"01a20531-7e9e-7000-805a-7991a39f5d56","role":"operator","token_id":"01a20531-7e9e-7000-807f-1ef08a27004b","workspace":"default"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-22T21:37:39.486478Z","error_message":null,"execution_id":null,"outcome":"changed","principal":null,"rule_id":null,"session_id":null,"start":"2026-11-22T21:37:39.486478Z"}',X'B9AF1C11B22212E7CBC7EFBB3BD3F8240717A563DE96EE6BA401455C2D1B0DE6',X'2C1DFD28249356BDA7635B9A6F249353312B66CCDA7C8BCDD04215F7E4EECB41',0,0,0,NULL,NULL,NULL,NULL);
INSERT INTO "log" VALUES(2,1795383459494022,5,456228412034383872,0,456228412049063936,0,0,'create',7,'{"action":"create","agent_id":"01a20531-7ea5-7000-8005-9e73f98c8d7c","agent_name":"Chat Assistant","change":{"new":{"capabilities":"[]","category":"system","description":"Answers when no other agent was asked.","handle":"chat-assistant","kind":"hosted","lifecycle":"active","maturity":"intern","name":"Chat Assistant","system_prompt_sha256":"6fad46c7d396257971e97882b523ce4fa7c514d0e56478f86fc6a1fbd7f2e6ef"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-22T21:37:39.493996Z","error_message":null,"execution_id":null,"outcome":"changed","principal":null,"rule_id":null,"session_id":null,"start":"2026-11-22T21:37:39.493996Z"}',X'69234080EE41F1D22A82EC0A38110289D599D515651FB73041562A17D4421499',X'AA855CFB97084A2FB7302938D84F2D146437DC1065DBCE8F6AC5445DA154F307',0,0,0,'agent_changed','{"id":"01a20531-7ea5-7000-8005-9e73f98c8d7c","handle":"chat-assistant","maturity":"intern","lifecycle":"active","revision":1}','agent:01a20531-7ea5-7000-8005-9e73f98c8d7c workspace:01a20531-7e9e-7000-8017-8e79a9b7bd5d',NULL);
INSERT INTO "log" VALUES(3,1795383459515061,7,456228412034383872,456228412034383874,456228412049063936,456228412093104128,456228412093104129,'chat',1,'{"action":"chat","agent_id":"01a20531-7ea5-7000-8005-9e73f98c8d7c","agent_name":"Chat Assistant","change":null,"code":null,"decision":{"action":"chat","action_complexity":2,"agent_maturity":"intern","allowed":true,"confidence":0.6,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"ok:chat:2","status_code":"ok"},"duration_ms":null,"end":null,"error_message":null,"execution_id":"01a20531-7eba-7000-801f-6d8db89e7860","outcome":"started","principal":{"id":"01a20531-7e9e-7000-805a-7991a39f5d56","name":"operator"},"rule_id":"ok:chat:2","session_id":"01a20531-7eba-7000-8024-c3c3d183ca53","start":"2026-11-22T21:37:39.514949Z"}',X'58F1453111B7187991E8197380B5E362705B4468104D7B20F133E30545918863',X'3E977D12F3BA208E9CFADC5BBCF4C0F9F536A3A901FA159190B0F7A76E570349',0,0,0,'execution_started','{"execution_id":"01a20531-7eba-7000-801f-6d8db89e7860","agent_id":"01a20531-7ea5-7000-8005-9e73f98c8d7c","session_id":"01a20531-7eba-7000-8024-c3c3d183ca53","user_id":"01a20531-7e9e-7000-805a-7991a39f5d56","action":"chat"}','execution:01a20531-7eba-7000-801f-6d8db89e7860 agent:01a20531-7ea5-7000-8005-9e73f98c8d7c',NULL);
INSERT INTO "log" VALUES(4,1795383459515962,15,456228412034383872,456228412034383874,456228412049063936,456228412093104128,456228412093104129,'chat',2,'{"action":"chat","agent_id":"01a20531-7ea5-7000-8005-9e73f98c8d7c","agent_name":"Chat Assistant","change":null,"code":null,"decision":null,"duration_ms":1,"end":"2026-11-22T21:37:39.515943Z","error_message":null,"execution_id":"01a20531-7eba-7000-801f-6d8db89e7860","outcome":"completed","principal":{"id":"01a20531-7e9e-7000-805a-7991a39f5d56","name":"operator"},"rule_id":null,"session_id":"01a20531-7eba-7000-8024-c3c3d183ca53","start":"2026-11-22T21:37:39.514949Z"}',X'5F31F5DA4C10E7357447B25B0B948D0D52911721DFEB7B778F8090094EC3250B',X'9A81E842FD7629A41C4008DC7D6D7105F64A2713569921E5B6F4C58E8DE523FC',0,0,0,'execution_ended','{"execution_id":"01a20531-7eba-7000-801f-6d8db89e7860","agent_id":"01a20531-7ea5-7000-8005-9e73f98c8d7c","status":"completed","duration_ms":1}','execution:01a20531-7eba-7000-801f-6d8db89e7860 agent:01a20531-7ea5-7000-8005-9e73f98c8d7c','episode');
INSERT INTO "log" VALUES(5,1795383459517800,7,456228412034383872,456228412034383874,456228412049063936,456228412099428352,456228412093104129,'chat',1,'{"action":"chat","agent_id":"01a20531-7ea5-7000-8005-9e73f98c8d7c","agent_name":"Chat Assistant","change":null,"code":null,"decision":{"action":"chat","action_complexity":2,"agent_maturity":"intern","allowed":true,"confidence":0.61,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"ok:chat:2","status_code":"ok"},"duration_ms":null,"end":null,"error_message":null,"execution_id":"01a20531-7ebd-7040-8014-4331da002cf0","outcome":"started","principal":{"id":"01a20531-7e9e-7000-805a-7991a39f5d56","name":"operator"},"rule_id":"ok:chat:2","session_id":"01a20531-7eba-7000-8024-c3c3d183ca53","start":"2026-11-22T21:37:39.517352Z"}',X'8BB5374AA7006E812E85963A45D3F8BEA6714DAEB87ED03878EAEDA12B1E1AE9',X'239BBBAA9568F32B139D03337C5356A1C602A181E9CAAF9E24E5A3B9D47A6A95',0,0,0,'execution_started','{"execution_id":"01a20531-7ebd-7040-8014-4331da002cf0","agent_id":"01a20531-7ea5-7000-8005-9e73f98c8d7c","session_id":"01a20531-7eba-7000-8024-c3c3d183ca53","user_id":"01a20531-7e9e-7000-805a-7991a39f5d56","action":"chat"}','execution:01a20531-7ebd-7040-8014-4331da002cf0 agent:01a20531-7ea5-7000-8005-9e73f98c8d7c',NULL);
INSERT INTO "log" VALUES(6,1795383459522041,15,456228412034383872,456228412034383874,456228412049063936,456228412099428352,456228412093104129,'chat',2,'{"action":"chat","agent_id":"01a20531-7ea5-7000-8005-9e73f98c8d7c","agent_name":"Chat Assistant","change":null,"code":null,"decision":null,"duration_ms":4,"end":"2026-11-22T21:37:39.522006Z","error_message":null,"execution_id":"01a20531-7ebd-7040-8014-4331da002cf0","outcome":"completed","principal":{"id":"01a20531-7e9e-7000-805a-7991a39f5d56","name":"operator"},"rule_id":null,"session_id":"01a20531-7eba-7000-8024-c3c3d183ca53","start":"2026-11-22T21:37:39.517352Z"}',X'77561A11B4EFDFAFCB93B21486AF21AF12C6C6C569BBFE7703B56CEB2337F9EC',X'18E10B799D02368AD08B73787A63151C7285C6CF94763F0BCF066AABA6A15A6C',0,0,0,'execution_ended','{"execution_id":"01a20531-7ebd-7040-8014-4331da002cf0","agent_id":"01a20531-7ea5-7000-8005-9e73f98c8d7c","status":"completed","duration_ms":4}','execution:01a20531-7ebd-7040-8014-4331da002cf0 agent:01a20531-7ea5-7000-8005-9e73f98c8d7c','episode');
INSERT INTO "log" VALUES(7,1795383459533825,5,456228412034383872,456228412034383874,456228412132950016,0,0,'create',7,'{"action":"create","agent_id":"01a20531-7ecd-7000-8001-de1838a76499","agent_name":"Ada","change":{"new":{"capabilities":"[]","category":"general","description":"","handle":"ada","kind":"hosted","lifecycle":"active","maturity":"student","name":"Ada"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-22T21:37:39.533723Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a20531-7e9e-7000-805a-7991a39f5d56","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-22T21:37:39.533723Z"}',X'BB783BFA4F95B1C6A3C795646DC2C2AEE0324003CB78AB5B34C48CC7DDA85500',X'4069F35FB6C7367875E4D7E40FEF5BF3291E908E0B4E45DE1FA459626AB4F4C5',0,0,0,'agent_changed','{"id":"01a20531-7ecd-7000-8001-de1838a76499","handle":"ada","maturity":"student","lifecycle":"active","revision":1}','agent:01a20531-7ecd-7000-8001-de1838a76499 workspace:01a20531-7e9e-7000-8017-8e79a9b7bd5d',NULL);
INSERT INTO "log" VALUES(8,1795383459538661,1,456228412034383872,456228412034383874,456228412132950016,0,0,'chat',3,'{"action":"chat","agent_id":"01a20531-7ecd-7000-8001-de1838a76499","agent_name":"Ada","change":null,"code":"governance_blocked","decision":{"action":"chat","action_complexity":2,"agent_maturity":"student","allowed":false,"confidence":0.5,"proceed":false,"reason":"Agent \"Ada\" (student) is blocked from \"chat\": it needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"maturity:chat:2","status_code":"maturity"},"duration_ms":1,"end":"2026-11-22T21:37:39.538561Z","error_message":"Agent \"Ada\" (student) is blocked from \"chat\": it needs intern or above.","execution_id":null,"outcome":"failed","principal":{"id":"01a20531-7e9e-7000-805a-7991a39f5d56","name":"operator"},"rule_id":"maturity:chat:2","session_id":null,"start":"2026-11-22T21:37:39.538537Z"}',X'870D357D599A1A62348CE66D2AB5375DFAB8E765F03AA8504F17168209C1C955',X'EFFD7EBD3F2391D8B98CE909F74746C7D57C6593B487DC66E784A5CD78524C27',0,0,0,NULL,NULL,NULL,NULL);
INSERT INTO "log" VALUES(9,1795383459542172,5,456228412034383872,456228412034383874,456228412132950016,0,0,'configure',7,'{"action":"configure","agent_id":"01a20531-7ecd-7000-8001-de1838a76499","agent_name":"Ada","change":{"new":{"lifecycle":"paused"},"old":{"lifecycle":"active"}},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-22T21:37:39.542128Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a20531-7e9e-7000-805a-7991a39f5d56","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-22T21:37:39.542128Z"}',X'1D9D7FC53D935412B6736C27CBC3E6731A857007BE871386E3920F97A10228E3',X'AEFB5446B70D7136F8C280FD2AA336377A8DE1BD62B2FFE37E5C48F1421198D9',0,0,0,'agent_changed','{"id":"01a20531-7ecd-7000-8001-de1838a76499","handle":"ada","maturity":"student","lifecycle":"paused","revision":2}','agent:01a20531-7ecd-7000-8001-de1838a76499 workspace:01a20531-7e9e-7000-8017-8e79a9b7bd5d',NULL);
INSERT INTO "log" VALUES(10,1795383459546000,1,456228412034383872,456228412034383874,0,0,0,'create',7,'{"action":"create","agent_id":null,"agent_name":null,"change":{"new":{"disabled":false,"name":"Mo","role":"member"},"old":null,"principal_id":"01a20531-7ed9-7000-8001-57013994c331"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-22T21:37:39.545952Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a20531-7e9e-7000-805a-7991a39f5d56","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-22T21:37:39.545952Z"}',X'965DBD2382DDE21F9FBB73E5C31A613E23554F5803ED9B6A7026B3D55FDE0349',X'9BE854857E281C0CFD04EA1474616F59868A3BCA7C6FA83111BCE1B78EEE1A24',0,0,0,NULL,NULL,NULL,NULL);
INSERT INTO "log" VALUES(11,1795383459553494,1,456228412034383872,456228412034383874,0,0,0,'grant',7,'{"action":"grant","agent_id":null,"agent_name":null,"change":{"new":{"principal_id":"01a20531-7ed9-7000-8001-57013994c331","token_id":"01a20531-7ee1-7040-8014-88b1bbee8fe7"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-22T21:37:39.553176Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a20531-7e9e-7000-805a-7991a39f5d56","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-22T21:37:39.553176Z"}',X'14F267FD1B252F90DADF1BB392993032F349B1001BF2DED2E207C2F15DE4605A',X'88BE2C1E1E5D151A27A729DFAF59F747D1A0BFD1B70F21F92BEC8280F97F161E',0,0,0,NULL,NULL,NULL,NULL);
CREATE TABLE meta (
	name TEXT NOT NULL PRIMARY KEY,
	value BLOB NOT NULL
)  STRICT;
INSERT INTO "meta" VALUES('id_secret',X'BC514ACD64BD270BF5504F72253528B3');
INSERT INTO "meta" VALUES('epoch',X'BDD34AA1C9F03D4D');
CREATE TABLE principal (
	id INTEGER NOT NULL PRIMARY KEY,
	workspace INTEGER NOT NULL REFERENCES workspace (id),
	kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),
	role INTEGER NOT NULL CHECK (role BETWEEN 1 AND 5),
	name TEXT NOT NULL,
	external_id TEXT,
	agent INTEGER,
	specialty TEXT NOT NULL,
	disabled_at INTEGER,
	created_at INTEGER NOT NULL
)  STRICT;
INSERT INTO "principal" VALUES(456228412034383873,456228412034383872,3,3,'system',NULL,NULL,'[]',NULL,1795383459487989);
INSERT INTO "principal" VALUES(456228412034383874,456228412034383872,1,4,'operator',NULL,NULL,'[]',NULL,1795383459487989);
INSERT INTO "principal" VALUES(456228412158115840,456228412034383872,1,2,'Mo',NULL,NULL,'[]',NULL,1795383459546000);
CREATE TABLE provider_key (
	id INTEGER NOT NULL PRIMARY KEY,
	workspace INTEGER NOT NULL,
	owner INTEGER,
	provider TEXT NOT NULL,
	base_url TEXT NOT NULL,
	sealed BLOB NOT NULL,
	shown TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	guarded INTEGER NOT NULL
)  STRICT;
CREATE TABLE session (
	id INTEGER NOT NULL PRIMARY KEY,
	workspace INTEGER NOT NULL,
	owner INTEGER NOT NULL REFERENCES principal (id),
	agent INTEGER,
	title TEXT NOT NULL,
	channel TEXT NOT NULL,
	message_count INTEGER NOT NULL,
	open_count INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	revision INTEGER NOT NULL
)  STRICT;
INSERT INTO "session" VALUES(456228412093104129,456228412034383872,456228412034383874,456228412049063936,'Hello, who are you?','chat',4,0,1795383459515061,1795383459522041,4);
CREATE TABLE token (
	id INTEGER NOT NULL PRIMARY KEY,
	principal INTEGER NOT NULL REFERENCES principal (id),
	hash BLOB NOT NULL,
	label TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER,
	revoked_at INTEGER
)  STRICT;
INSERT INTO "token" VALUES(456228412034383875,456228412034383874,X'FAE23E307C4F5600013122161E7387C160460AA113F91DA49C4250B0EDF4382E','first operator token',1795383459487989,NULL,NULL);
INSERT INTO "token" VALUES(456228412174925824,456228412158115840,X'DA02CBCCA8D35D43D8CEBC68A3C0A9C2A4869ED5305FDF93FC812C13D46B4724','',1795383459553494,NULL,NULL);
CREATE TABLE token_batch (
	execution INTEGER NOT NULL,
	seq_first INTEGER NOT NULL,
	seq_last INTEGER NOT NULL,
	epoch INTEGER NOT NULL,
	delta_lens BLOB NOT NULL,
	body TEXT NOT NULL,
	PRIMARY KEY (execution, seq_first)
)  STRICT, WITHOUT ROWID;
CREATE TABLE turn (
	id INTEGER NOT NULL PRIMARY KEY,
	session INTEGER,
	workspace INTEGER NOT NULL,
	agent INTEGER NOT NULL REFERENCES agent (id),
	agent_name TEXT NOT NULL,
	owner INTEGER NOT NULL,
	status INTEGER NOT NULL CHECK (status BETWEEN 1 AND 7),
	action TEXT NOT NULL,
	triggered_by INTEGER NOT NULL,
	message TEXT NOT NULL,
	answer TEXT,
	has_answer INTEGER NOT NULL CHECK (has_answer IN (0, 1)),
	partial INTEGER NOT NULL CHECK (partial IN (0, 1)),
	rolled_back INTEGER NOT NULL CHECK (rolled_back IN (0, 1)),
	delta_lens BLOB,
	started_at INTEGER NOT NULL,
	ended_at INTEGER,
	duration_ms INTEGER,
	error_code TEXT,
	error_message TEXT,
	provider TEXT,
	model TEXT,
	tokens_in INTEGER NOT NULL,
	tokens_out INTEGER NOT NULL,
	estimated INTEGER NOT NULL CHECK (estimated IN (0, 1)),
	cost_micro INTEGER NOT NULL,
	cost_unknown INTEGER NOT NULL CHECK (cost_unknown IN (0, 1)),
	epoch INTEGER NOT NULL,
	seq_last INTEGER NOT NULL,
	truncated INTEGER NOT NULL CHECK (truncated IN (0, 1)),
	finish_reason TEXT,
	resolution TEXT NOT NULL,
	metadata TEXT NOT NULL
)  STRICT;
INSERT INTO "turn" VALUES(456228412093104128,456228412093104129,456228412034383872,456228412049063936,'Chat Assistant',456228412034383874,3,'chat',4,'Hello, who are you?','I am Guild''s builtin responder: rules in the spirit of ELIZA, not a language model, not a person.',1,0,0,X'020308080B06030407030704020907040207',1795383459515061,1795383459515962,1,NULL,NULL,'builtin','builtin',0,29,1,0,0,1,20,0,'stop','["system_default"]','{"source":"api","resolution_context":{"resolution_path":["system_default"],"requested_agent":null},"governance_check":{"allowed":true,"requires_human_approval":false,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","agent_maturity":"intern","action_complexity":2,"required_maturity":"intern","confidence":0.6,"rule_id":"ok:chat:2","status_code":"ok","action":"chat"},"request_id":"3944d49b05a76e30f789936147a5109e"}');
INSERT INTO "turn" VALUES(456228412099428352,456228412093104129,456228412034383872,456228412049063936,'Chat Assistant',456228412034383874,3,'chat',4,'And what can you do?','Ask me how to connect a model, what maturity means, or how to see the audit log.',1,0,0,X'0403040308020705090703040304040604',1795383459517800,1795383459522041,4,NULL,NULL,'builtin','builtin',0,24,1,0,0,1,19,0,'stop','["session_agent"]','{"source":"api","resolution_context":{"resolution_path":["session_agent"],"requested_agent":null},"governance_check":{"allowed":true,"requires_human_approval":false,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","agent_maturity":"intern","action_complexity":2,"required_maturity":"intern","confidence":0.61,"rule_id":"ok:chat:2","status_code":"ok","action":"chat"},"request_id":"f2e0f7669ba6d848c07b46a6b6114dfb"}');
CREATE TABLE workspace (
	id INTEGER NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	default_agent INTEGER,
	created_at INTEGER NOT NULL
)  STRICT;
INSERT INTO "workspace" VALUES(456228412034383872,'default',NULL,1795383459487989);
CREATE UNIQUE INDEX principal_external ON principal (workspace, external_id) WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX agent_handle ON agent (workspace, handle);
CREATE INDEX session_owner ON session (owner, id);
CREATE INDEX turn_session ON turn (session, id);
CREATE INDEX turn_open ON turn (session, id) WHERE status <= 2;
CREATE INDEX token_live ON token (principal, id) WHERE revoked_at IS NULL;
CREATE INDEX agent_owner ON agent (owner, id);
COMMIT;
