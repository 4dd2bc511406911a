-- A store of schema 6 as its program left it: an operator, a user, a paused student, a conversation of four messages, a refusal, posts, a channel, a message, a key, an open approval, a signed audit log.
-- token: guild_mRthSdWJr9ucs0g2r7iqsnBDM4n3gBe_F_pR-DQyXuM
-- session: 01a205e2-f44d-7040-803e-4fc331590712
-- agent: 01a205e2-f45e-7040-801f-2d8c2641d38b
-- guild.key: 383534336633643834373535626637393836313065383566646633636139336339343865353037356233393232363639633439396265316563643366633738340a
-- audit.key: 656432353531392d7365637265743a643235656337346536363233663437393531613139323662663439323066363232306139383536636339636435643465376462376636323231323932353837380a
PRAGMA page_size=4096;
PRAGMA application_id=1196772420;
PRAGMA user_version=6;
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
INSERT INTO "agent" VALUES(456252801800994816,456252801752760320,'Chat Assistant','chat-assistant','Answers when no other agent was asked.','system',2,1,6200,1,NULL,NULL,'[]','You are a helpful assistant. Answer clearly and briefly.',NULL,0,0,1,NULL,1795395089433616,1795395089433616,1);
INSERT INTO "agent" VALUES(456252801945731072,456252801752760320,'Student','student','','general',1,2,5000,1,NULL,NULL,'[]',NULL,NULL,0,0,0,456252801880686592,1795395089502199,1795395089534972,2);
INSERT INTO "agent" VALUES(456252802199453696,456252801752760320,'Mail','mail','','general',3,1,8000,1,NULL,NULL,'[]',NULL,NULL,0,0,0,456252801752760322,1795395089623479,1795395089623479,1);
CREATE TABLE approval (
	id INTEGER NOT NULL PRIMARY KEY,
	workspace INTEGER NOT NULL,
	agent INTEGER NOT NULL,
	requester INTEGER NOT NULL,
	action TEXT NOT NULL,
	arguments TEXT NOT NULL,
	arguments_hash BLOB NOT NULL,
	hash BLOB NOT NULL,
	policy_version INTEGER NOT NULL,
	reason TEXT NOT NULL,
	priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 4),
	status INTEGER NOT NULL CHECK (status BETWEEN 1 AND 6),
	requested_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	decided_by INTEGER,
	decided_at INTEGER,
	consumed_at INTEGER,
	note TEXT
)  STRICT;
INSERT INTO "approval" VALUES(456252802233008128,456252801752760320,456252802199453696,456252801752760322,'send_email','{"to":"x"}',X'59672D2948AECAFC11F8C37637082EE2A14AC660059CC89477127C20F3B55909',X'E2C71E08C47579EBB373FE756160D128368C98285284F06269C7955081AD7791',1,'Agent "Mail" (supervised) may do "send_email" once a human approved it; it needs supervised or above.',2,1,1795395089639465,1795481489639465,NULL,NULL,NULL,NULL);
CREATE TABLE audit_checkpoint (
	size INTEGER NOT NULL PRIMARY KEY,
	time_at INTEGER NOT NULL,
	epoch INTEGER NOT NULL,
	head BLOB NOT NULL,
	root BLOB NOT NULL,
	signature BLOB NOT NULL
)  STRICT;
INSERT INTO "audit_checkpoint" VALUES(19,1795395089679229,5775045522426013,X'E31A8DD0204EABB4D7F4BC8D904912F19B6D666F50E981080044B9194B7EA187',X'F7EB07CE601A851EAD89759F1E3C5D8A054B318F0703E905ADEBCAD6F3AC8E5F',X'8A8AC494548614E2CEA5F0098452A83EC7870A20E841AB9F2BE7DE03A3E7B80057B5965172F96C5A746E05289E3E37C6D36A49CEF46A414BF3AF36FAAD60AF03');
CREATE TABLE audit_node (
	level INTEGER NOT NULL,
	number INTEGER NOT NULL,
	hash BLOB NOT NULL,
	PRIMARY KEY (level, number)
)  STRICT, WITHOUT ROWID;
CREATE TABLE auto_answer (
	agent INTEGER NOT NULL,
	cause INTEGER NOT NULL,
	is_message INTEGER NOT NULL CHECK (is_message IN (0, 1)),
	asker INTEGER NOT NULL,
	asker_kind INTEGER NOT NULL CHECK (asker_kind BETWEEN 1 AND 3),
	hops INTEGER NOT NULL,
	PRIMARY KEY (agent, cause)
)  STRICT, WITHOUT ROWID;
CREATE TABLE block (
	actor INTEGER NOT NULL,
	blocked INTEGER NOT NULL,
	blocked_kind INTEGER NOT NULL CHECK (blocked_kind BETWEEN 1 AND 3),
	created_at INTEGER NOT NULL,
	PRIMARY KEY (actor, blocked)
)  STRICT, WITHOUT ROWID;
CREATE TABLE channel (
	id INTEGER NOT NULL PRIMARY KEY,
	workspace INTEGER NOT NULL,
	name TEXT NOT NULL,
	display_name TEXT NOT NULL,
	description TEXT NOT NULL,
	kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 4),
	private INTEGER NOT NULL CHECK (private IN (0, 1)),
	created_by INTEGER NOT NULL,
	created_by_kind INTEGER NOT NULL CHECK (created_by_kind BETWEEN 1 AND 3),
	member_count INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	revision INTEGER NOT NULL
)  STRICT;
INSERT INTO "channel" VALUES(456252802130247680,456252801752760320,'room','room','',1,0,456252801880686592,1,1,1795395089590351,1);
CREATE TABLE channel_member (
	channel INTEGER NOT NULL,
	actor INTEGER NOT NULL,
	actor_kind INTEGER NOT NULL CHECK (actor_kind BETWEEN 1 AND 3),
	joined_at INTEGER NOT NULL,
	PRIMARY KEY (channel, actor)
)  STRICT, WITHOUT ROWID;
INSERT INTO "channel_member" VALUES(456252802130247680,456252801880686592,1,1795395089590351);
CREATE TABLE direct_message (
	id INTEGER NOT NULL PRIMARY KEY,
	workspace INTEGER NOT NULL,
	sender INTEGER NOT NULL,
	sender_kind INTEGER NOT NULL CHECK (sender_kind BETWEEN 1 AND 3),
	recipient INTEGER NOT NULL,
	recipient_kind INTEGER NOT NULL CHECK (recipient_kind BETWEEN 1 AND 3),
	kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 4),
	content TEXT NOT NULL,
	redacted TEXT NOT NULL,
	hops INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	delivered_at INTEGER,
	read_at INTEGER,
	sender_deleted INTEGER NOT NULL CHECK (sender_deleted IN (0, 1)),
	recipient_deleted INTEGER NOT NULL CHECK (recipient_deleted IN (0, 1))
)  STRICT;
INSERT INTO "direct_message" VALUES(456252802149089280,456252801752760320,456252801752760322,1,456252801880686592,1,4,'psst','[]',0,1795395089598721,NULL,NULL,0,0);
CREATE TABLE idempotency (
	key_hash BLOB NOT NULL PRIMARY KEY,
	request_hash BLOB NOT NULL,
	principal INTEGER NOT NULL,
	made_at INTEGER NOT NULL,
	process INTEGER NOT NULL,
	execution INTEGER NOT NULL,
	log_seq INTEGER NOT NULL,
	status INTEGER NOT NULL,
	reply TEXT NOT NULL
)  STRICT, WITHOUT ROWID;
INSERT INTO "idempotency" VALUES(X'5F85BB8EE6458930EB4458FB6E83CA71',X'A0294F4963FD4EB8FF22AF640461C990',456252801752760322,1795395089608801,1136224452441782092,0,17,201,'{"id":"01a205e2-f4c8-7fc0-800b-cd538c2f95cb","author":{"kind":"human","id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"status","content":"once","visibility":"public","channel_id":null,"reply_to":null,"mentions":[],"hashtags":[],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:51:29.608801Z"}');
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
, audience_a INTEGER NOT NULL DEFAULT 0, audience_b INTEGER NOT NULL DEFAULT 0)  STRICT;
INSERT INTO "log" VALUES(1,1795395089421798,1,456252801752760320,0,0,0,0,'configure',7,'{"action":"configure","agent_id":null,"agent_name":null,"change":{"new":{"principal_id":"01a205e2-f402-7000-805c-ac02d8b28de0","role":"operator","token_id":"01a205e2-f402-7000-8074-ba46d9c5b44d","workspace":"default"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:29.410810Z","error_message":null,"execution_id":null,"outcome":"changed","principal":null,"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:29.410810Z"}',X'31E6D7876D58976F6ABAC3AD4FB6CCDCEA211D62145C7F6320A61402290D4548',X'656E34A15D173F4F7856DF3B49D4BF01F578A84BA20965A3181C1E231DC40B16',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(2,1795395089433616,5,456252801752760320,0,456252801800994816,0,0,'create',7,'{"action":"create","agent_id":"01a205e2-f419-7000-800c-7206dfa91ef8","agent_name":"Chat Assistant","change":{"new":{"capabilities":"[]","category":"system","description":"Answers when no other agent was asked.","handle":"chat-assistant","kind":"hosted","lifecycle":"active","maturity":"intern","name":"Chat Assistant","system_prompt_sha256":"6fad46c7d396257971e97882b523ce4fa7c514d0e56478f86fc6a1fbd7f2e6ef"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:29.433581Z","error_message":null,"execution_id":null,"outcome":"changed","principal":null,"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:29.433581Z"}',X'890080FD6EC51632441F5B9B018D2B19FF4C2B6108F3CCDE2F2333992771DEDC',X'F4A6B1A205C63FB05E252F8A21DBD24A42BF083635F2BB8E37252D8C464A0071',0,0,0,'agent_changed','{"id":"01a205e2-f419-7000-800c-7206dfa91ef8","handle":"chat-assistant","maturity":"intern","lifecycle":"active","revision":1}','agent:01a205e2-f419-7000-800c-7206dfa91ef8 workspace:01a205e2-f402-7000-8006-ec2a0d21ff33',NULL,0,0);
INSERT INTO "log" VALUES(3,1795395089471203,1,456252801752760320,456252801752760322,0,0,0,'create',7,'{"action":"create","agent_id":null,"agent_name":null,"change":{"new":{"disabled":false,"name":"Ada","role":"member"},"old":null,"principal_id":"01a205e2-f43f-7000-8018-10596a31a2be"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:29.471133Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:29.471133Z"}',X'E6F82CA64EC423DE0DFD96386A430EC05FEF7316E9A2C9EA962FAA3DDF49BBC0',X'E114C9AEDF989CC2B7AAFF46CC6A46C8E1A62188224FEABECD692419185415B3',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(4,1795395089477556,1,456252801752760320,456252801752760322,0,0,0,'grant',7,'{"action":"grant","agent_id":null,"agent_name":null,"change":{"new":{"principal_id":"01a205e2-f43f-7000-8018-10596a31a2be","token_id":"01a205e2-f445-7040-800b-a73b6b4d75d5"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:29.477505Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:29.477505Z"}',X'E1AF00A71A7ABE8EE91984AB355EA2D4A42AD11A43A04B88080DF676FA7B421A',X'E1833F0A0DA4EFCD6EA5970F4E0771377FCA2825CE49D44787F8EDB655E6A3F0',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(5,1795395089485157,7,456252801752760320,456252801752760322,456252801800994816,456252801910079488,456252801910079489,'chat',1,'{"action":"chat","agent_id":"01a205e2-f419-7000-800c-7206dfa91ef8","agent_name":"Chat Assistant","change":null,"code":null,"decision":{"action":"chat","action_complexity":2,"agent_maturity":"intern","allowed":true,"confidence":0.6,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"ok:chat:2","status_code":"ok"},"duration_ms":null,"end":null,"error_message":null,"execution_id":"01a205e2-f44d-7040-8015-66104a430edc","outcome":"started","principal":{"id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"rule_id":"ok:chat:2","session_id":"01a205e2-f44d-7040-803e-4fc331590712","start":"2026-11-23T00:51:29.485053Z"}',X'922B51D4A09FCA7837F1ED95EC22F726B1AF1B0A97AC987A173C1C8FA63D2C50',X'C03EC78C919074A98FEAC02E64945FCFECEF67E63ECBB1977FA1AACA9C46B795',0,0,0,'execution_started','{"execution_id":"01a205e2-f44d-7040-8015-66104a430edc","agent_id":"01a205e2-f419-7000-800c-7206dfa91ef8","session_id":"01a205e2-f44d-7040-803e-4fc331590712","user_id":"01a205e2-f402-7000-805c-ac02d8b28de0","action":"chat"}','execution:01a205e2-f44d-7040-8015-66104a430edc agent:01a205e2-f419-7000-800c-7206dfa91ef8',NULL,0,0);
INSERT INTO "log" VALUES(6,1795395089486759,15,456252801752760320,456252801752760322,456252801800994816,456252801910079488,456252801910079489,'chat',2,'{"action":"chat","agent_id":"01a205e2-f419-7000-800c-7206dfa91ef8","agent_name":"Chat Assistant","change":null,"code":null,"decision":null,"duration_ms":1,"end":"2026-11-23T00:51:29.486728Z","error_message":null,"execution_id":"01a205e2-f44d-7040-8015-66104a430edc","outcome":"completed","principal":{"id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"rule_id":null,"session_id":"01a205e2-f44d-7040-803e-4fc331590712","start":"2026-11-23T00:51:29.485053Z"}',X'908815AD4083A5425BEF0C7FC150AB5D4BF1B0984E877A0D530C54FB274EDACB',X'B88AC4A0653CEDFB660BC43266E3D28D99209B1E04532C0F73BDF478A38936AC',0,0,0,'execution_ended','{"execution_id":"01a205e2-f44d-7040-8015-66104a430edc","agent_id":"01a205e2-f419-7000-800c-7206dfa91ef8","status":"completed","duration_ms":1}','execution:01a205e2-f44d-7040-8015-66104a430edc agent:01a205e2-f419-7000-800c-7206dfa91ef8','episode',0,0);
INSERT INTO "log" VALUES(7,1795395089493150,7,456252801752760320,456252801752760322,456252801800994816,456252801924759552,456252801910079489,'chat',1,'{"action":"chat","agent_id":"01a205e2-f419-7000-800c-7206dfa91ef8","agent_name":"Chat Assistant","change":null,"code":null,"decision":{"action":"chat","action_complexity":2,"agent_maturity":"intern","allowed":true,"confidence":0.61,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"ok:chat:2","status_code":"ok"},"duration_ms":null,"end":null,"error_message":null,"execution_id":"01a205e2-f454-7040-8009-f1fbb148beff","outcome":"started","principal":{"id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"rule_id":"ok:chat:2","session_id":"01a205e2-f44d-7040-803e-4fc331590712","start":"2026-11-23T00:51:29.492659Z"}',X'63BCCFDAB5B93E84C23F5C247EA2F9FEC728854CD2D92B5ECB691CB4CABDE3FA',X'5ED8E170AB472033FCEEF1B14D247B2B47BFD465F2D30E687951E6347CC48A8B',0,0,0,'execution_started','{"execution_id":"01a205e2-f454-7040-8009-f1fbb148beff","agent_id":"01a205e2-f419-7000-800c-7206dfa91ef8","session_id":"01a205e2-f44d-7040-803e-4fc331590712","user_id":"01a205e2-f402-7000-805c-ac02d8b28de0","action":"chat"}','execution:01a205e2-f454-7040-8009-f1fbb148beff agent:01a205e2-f419-7000-800c-7206dfa91ef8',NULL,0,0);
INSERT INTO "log" VALUES(8,1795395089494680,15,456252801752760320,456252801752760322,456252801800994816,456252801924759552,456252801910079489,'chat',2,'{"action":"chat","agent_id":"01a205e2-f419-7000-800c-7206dfa91ef8","agent_name":"Chat Assistant","change":null,"code":null,"decision":null,"duration_ms":1,"end":"2026-11-23T00:51:29.494572Z","error_message":null,"execution_id":"01a205e2-f454-7040-8009-f1fbb148beff","outcome":"completed","principal":{"id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"rule_id":null,"session_id":"01a205e2-f44d-7040-803e-4fc331590712","start":"2026-11-23T00:51:29.492659Z"}',X'5477ED8BF8683498CA3892B0E82B13F7E7884614BA3517077CB562D07FB484C3',X'19FB215D4F0EED656B1D34211F7E92E88C88931C303EF953D92AD781F3384449',0,0,0,'execution_ended','{"execution_id":"01a205e2-f454-7040-8009-f1fbb148beff","agent_id":"01a205e2-f419-7000-800c-7206dfa91ef8","status":"completed","duration_ms":1}','execution:01a205e2-f454-7040-8009-f1fbb148beff agent:01a205e2-f419-7000-800c-7206dfa91ef8','episode',0,0);
INSERT INTO "log" VALUES(9,1795395089502199,5,456252801752760320,456252801880686592,456252801945731072,0,0,'create',7,'{"action":"create","agent_id":"01a205e2-f45e-7040-801f-2d8c2641d38b","agent_name":"Student","change":{"new":{"capabilities":"[]","category":"general","description":"","handle":"student","kind":"hosted","lifecycle":"active","maturity":"student","name":"Student"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:29.502152Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-f43f-7000-8018-10596a31a2be","name":"Ada"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:29.502152Z"}',X'4AB2FB72345AE8C2947A59E8DE22CD53F42DC15FCF1DEABA61C7923B1CE91E5E',X'247307CFA7D8B1F38EA6654C9DB928225D986880D45C0B7A647ED21981D203A3',0,0,0,'agent_changed','{"id":"01a205e2-f45e-7040-801f-2d8c2641d38b","handle":"student","maturity":"student","lifecycle":"active","revision":1}','agent:01a205e2-f45e-7040-801f-2d8c2641d38b workspace:01a205e2-f402-7000-8006-ec2a0d21ff33',NULL,0,0);
INSERT INTO "log" VALUES(10,1795395089518370,1,456252801752760320,456252801880686592,456252801945731072,0,0,'chat',3,'{"action":"chat","agent_id":"01a205e2-f45e-7040-801f-2d8c2641d38b","agent_name":"Student","change":null,"code":"governance_blocked","decision":{"action":"chat","action_complexity":2,"agent_maturity":"student","allowed":false,"confidence":0.5,"proceed":false,"reason":"Agent \"Student\" (student) is blocked from \"chat\": it needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"maturity:chat:2","status_code":"maturity"},"duration_ms":1,"end":"2026-11-23T00:51:29.512588Z","error_message":"Agent \"Student\" (student) is blocked from \"chat\": it needs intern or above.","execution_id":null,"outcome":"failed","principal":{"id":"01a205e2-f43f-7000-8018-10596a31a2be","name":"Ada"},"rule_id":"maturity:chat:2","session_id":null,"start":"2026-11-23T00:51:29.512563Z"}',X'FB954211A051FE100FC17EBBAE4C318C4AB3AC01AE87FD04D4733989671E56C8',X'ECA77DA7C36328438AF2789F047AA44F7EDD82F5C00E19CF774AF8ADF2270488',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(11,1795395089534972,5,456252801752760320,456252801752760322,456252801945731072,0,0,'configure',7,'{"action":"configure","agent_id":"01a205e2-f45e-7040-801f-2d8c2641d38b","agent_name":"Student","change":{"new":{"lifecycle":"paused"},"old":{"lifecycle":"active"}},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:29.533826Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:29.533826Z"}',X'D2CEA5081142C6450500221E6CA60A6666CD28959CBA6CC73AFA548EEB011296',X'F5E2E7DAAF69D39F720AA891E93E9F8E3325243FCB97D6B20797755F1D1C5265',0,0,0,'agent_changed','{"id":"01a205e2-f45e-7040-801f-2d8c2641d38b","handle":"student","maturity":"student","lifecycle":"paused","revision":2}','agent:01a205e2-f45e-7040-801f-2d8c2641d38b workspace:01a205e2-f402-7000-8006-ec2a0d21ff33',NULL,0,0);
INSERT INTO "log" VALUES(12,1795395089549004,5,456252801752760320,456252801880686592,0,0,0,'post',7,'{"action":"post","agent_id":null,"agent_name":null,"change":{"post_id":"01a205e2-f48d-7fc0-8005-41c32e779876","redacted":[],"type":"status","visibility":"public"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:29.547300Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-f43f-7000-8018-10596a31a2be","name":"Ada"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:29.547300Z"}',X'1ADFF98F1F987CA67A0593B22488926913647ED14B8C8E6182840C5D1469A106',X'7BA31C54FB06A337146D6E73639E4EB838968A701A73BE65519D7FAC32C21838',0,0,0,'agent_post','{"id":"01a205e2-f48d-7fc0-8005-41c32e779876","author":{"kind":"human","id":"01a205e2-f43f-7000-8018-10596a31a2be","name":"Ada","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"status","content":"about #upgrades, @chat-assistant","visibility":"public","channel_id":null,"reply_to":null,"mentions":[{"kind":"agent","id":"01a205e2-f419-7000-800c-7206dfa91ef8","text":"@chat-assistant"}],"hashtags":["#upgrades"],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:51:29.549004Z"}','global',NULL,0,0);
INSERT INTO "log" VALUES(13,1795395089574967,5,456252801752760320,456252801752760322,0,0,0,'reply',7,'{"action":"reply","agent_id":null,"agent_name":null,"change":{"post_id":"01a205e2-f4a6-7fc0-8015-35cb43d3dbf5","redacted":[],"reply_to":"01a205e2-f48d-7fc0-8005-41c32e779876","type":"status","visibility":"public"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:29.574935Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:29.574935Z"}',X'3DD287A30C51BB8F16A0909CBA4C79C2E8D78D39B2FD55D4C2318C54A24FD6B7',X'2BA269B5AA526D282CE291DFDEC3A7F9BDDC4994F31135FA010B8856A3B3F55F',0,0,0,'reply_added','{"id":"01a205e2-f4a6-7fc0-8015-35cb43d3dbf5","author":{"kind":"human","id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"response","content":"a reply","visibility":"public","channel_id":null,"reply_to":"01a205e2-f48d-7fc0-8005-41c32e779876","mentions":[],"hashtags":[],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:51:29.574967Z"}','post:01a205e2-f48d-7fc0-8005-41c32e779876 global',NULL,0,0);
INSERT INTO "log" VALUES(14,1795395089586971,5,456252801752760320,456252801752760322,0,0,0,'react',7,'{"action":"react","agent_id":null,"agent_name":null,"change":{"new":{"emoji":"👍","post_id":"01a205e2-f48d-7fc0-8005-41c32e779876"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:29.586921Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:29.586921Z"}',X'5A77416877BAA88DD7DBD050B78E84407BE013F3DA12C0F3C0A9B59DCF9D3C41',X'2A40E7EB06B42D6E71C993EE6603E4045D82633ED59A8C497E3759BEA49A599D',0,0,0,'reaction_added','{"post_id":"01a205e2-f48d-7fc0-8005-41c32e779876","emoji":"👍","actor":{"kind":"human","id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"count":1}','post:01a205e2-f48d-7fc0-8005-41c32e779876 global',NULL,0,0);
INSERT INTO "log" VALUES(15,1795395089590351,5,456252801752760320,456252801880686592,0,0,0,'channel_create',7,'{"action":"channel_create","agent_id":null,"agent_name":null,"change":{"new":{"channel_id":"01a205e2-f4b6-7000-800f-5eed4d92c9e6","name":"room","private":false},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:29.590308Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-f43f-7000-8018-10596a31a2be","name":"Ada"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:29.590308Z"}',X'2F7F0CE0F76E9FFE234CC4FE1C42F4807517C6E6A7238680F843BA0D688A0CE9',X'647C398B34871C8461EE388881E418F9C1651779A4DD7E099D279A1D6D7E6F8B',0,0,0,'channel_created','{"id":"01a205e2-f4b6-7000-800f-5eed4d92c9e6","name":"room","display_name":"room","description":"","type":"general","private":false,"created_by":"01a205e2-f43f-7000-8018-10596a31a2be","member_count":1,"created_at":"2026-11-23T00:51:29.590351Z","revision":1}','channel:01a205e2-f4b6-7000-800f-5eed4d92c9e6 global',NULL,0,0);
INSERT INTO "log" VALUES(16,1795395089598721,5,456252801752760320,456252801752760322,0,0,0,'direct_message',7,'{"action":"direct_message","agent_id":null,"agent_name":null,"change":{"new":{"message_id":"01a205e2-f4be-7fc0-800f-2f7e8ef5263d","to_id":"01a205e2-f43f-7000-8018-10596a31a2be","type":"note"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:29.598671Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:29.598671Z"}',X'389DEB28FA4113292E8C5164FC75C5416C5DB8BE40DC04D1C7B3DB37D554B381',X'5C0FAB57F317E5B7353E1E8C5E3B0FD31405A00B2B287DACCE2EC01279789898',0,0,0,'direct_message','{"id":"01a205e2-f4be-7fc0-800f-2f7e8ef5263d","from":{"kind":"human","id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"to":{"kind":"human","id":"01a205e2-f43f-7000-8018-10596a31a2be","name":"Ada"},"type":"note","content":"psst","created_at":"2026-11-23T00:51:29.598721Z","delivered_at":null,"read_at":null}','user:01a205e2-f402-7000-805c-ac02d8b28de0 user:01a205e2-f43f-7000-8018-10596a31a2be',NULL,456252801752760322,456252801880686592);
INSERT INTO "log" VALUES(17,1795395089608801,5,456252801752760320,456252801752760322,0,0,0,'post',7,'{"action":"post","agent_id":null,"agent_name":null,"change":{"post_id":"01a205e2-f4c8-7fc0-800b-cd538c2f95cb","redacted":[],"type":"status","visibility":"public"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:29.608772Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:29.608772Z"}',X'6DB30F31500FC7FB3AFF9BB17A9E8BC8F54503E4EB94C6ECC0C38882E71D1F1C',X'C9EE67C1A8F7BCCEE19330BC96CA7D34298A75C4869506F7510757C65269784D',0,0,0,'agent_post','{"id":"01a205e2-f4c8-7fc0-800b-cd538c2f95cb","author":{"kind":"human","id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"status","content":"once","visibility":"public","channel_id":null,"reply_to":null,"mentions":[],"hashtags":[],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:51:29.608801Z"}','global',NULL,0,0);
INSERT INTO "log" VALUES(18,1795395089623479,5,456252801752760320,456252801752760322,456252802199453696,0,0,'create',7,'{"action":"create","agent_id":"01a205e2-f4d7-7000-8004-ef840809c2f3","agent_name":"Mail","change":{"new":{"capabilities":"[]","category":"general","description":"","handle":"mail","kind":"hosted","lifecycle":"active","maturity":"supervised","name":"Mail"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:29.623411Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:29.623411Z"}',X'EF924626CBC63F6C089F41DB763EB8879BF42AAA242DE7D9048DB2EB6933C5F5',X'D4CED10A5BAB4C048A7A924F0B46983AD2F20859CB6815282EB7C712738B5110',0,0,0,'agent_changed','{"id":"01a205e2-f4d7-7000-8004-ef840809c2f3","handle":"mail","maturity":"supervised","lifecycle":"active","revision":1}','agent:01a205e2-f4d7-7000-8004-ef840809c2f3 workspace:01a205e2-f402-7000-8006-ec2a0d21ff33',NULL,0,0);
INSERT INTO "log" VALUES(19,1795395089639465,5,456252801752760320,456252801752760322,456252802199453696,0,0,'send_email',3,'{"action":"send_email","agent_id":"01a205e2-f4d7-7000-8004-ef840809c2f3","agent_name":"Mail","change":{"approval_id":"01a205e2-f4e7-7000-8017-ffa59d1075a5","arguments_sha256":"59672d2948aecafc11f8c37637082ee2a14ac660059cc89477127c20f3b55909","expires_at":"2026-11-24T00:51:29.639465Z"},"code":"approval_required","decision":{"action":"send_email","action_complexity":3,"agent_maturity":"supervised","allowed":true,"confidence":0.8,"proceed":false,"reason":"Agent \"Mail\" (supervised) may do \"send_email\" once a human approved it; it needs supervised or above.","required_maturity":"supervised","requires_human_approval":true,"rule_id":"approval_required:send_email:3","status_code":"approval_required"},"duration_ms":1,"end":"2026-11-23T00:51:29.639465Z","error_message":"Agent \"Mail\" (supervised) may do \"send_email\" once a human approved it; it needs supervised or above.","execution_id":null,"outcome":"failed","principal":{"id":"01a205e2-f402-7000-805c-ac02d8b28de0","name":"operator"},"rule_id":"approval_required:send_email:3","session_id":null,"start":"2026-11-23T00:51:29.639465Z"}',X'3CE91CEDD7B59F9767AC5DEACC48030C003B4939717D2A5898242310E3863885',X'E31A8DD0204EABB4D7F4BC8D904912F19B6D666F50E981080044B9194B7EA187',0,0,0,'approval_requested','{"id":"01a205e2-f4e7-7000-8017-ffa59d1075a5","agent_id":"01a205e2-f4d7-7000-8004-ef840809c2f3","action":"send_email","arguments_sha256":"59672d2948aecafc11f8c37637082ee2a14ac660059cc89477127c20f3b55909","priority":"medium","status":"pending","expires_at":"2026-11-24T00:51:29.639465Z","decided_by":null}','workspace:01a205e2-f402-7000-8006-ec2a0d21ff33 agent:01a205e2-f4d7-7000-8004-ef840809c2f3 approval:01a205e2-f4e7-7000-8017-ffa59d1075a5',NULL,456252802199453696,456252801752760322);
CREATE TABLE meta (
	name TEXT NOT NULL PRIMARY KEY,
	value BLOB NOT NULL
)  STRICT;
INSERT INTO "meta" VALUES('id_secret',X'D084446D32BAC99437A3F93AE0AC9A93');
INSERT INTO "meta" VALUES('epoch',X'9D08ED905F841400');
INSERT INTO "meta" VALUES('generation',X'0100000000000000');
INSERT INTO "meta" VALUES('audit_public',X'9023607F25A81F3DE4F67836C0059DD9038AD57F35AD637F92A955F6641DDB4E');
INSERT INTO "meta" VALUES('key_check',X'FC1F4AC5FBFE1ACE4ACAF1BA8A8354458F652BFD439E0E2BF02706DEF695CA33');
CREATE TABLE post (
	id INTEGER NOT NULL PRIMARY KEY,
	workspace INTEGER NOT NULL,
	author INTEGER NOT NULL,
	author_kind INTEGER NOT NULL CHECK (author_kind BETWEEN 1 AND 3),
	maturity INTEGER NOT NULL CHECK (maturity BETWEEN 0 AND 4),
	kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 5),
	requested INTEGER NOT NULL CHECK (requested BETWEEN 1 AND 8),
	visibility INTEGER NOT NULL CHECK (visibility BETWEEN 1 AND 3),
	audience INTEGER NOT NULL,
	reply_to INTEGER NOT NULL,
	hops INTEGER NOT NULL,
	content TEXT NOT NULL,
	mentions TEXT NOT NULL,
	tags TEXT NOT NULL,
	redacted TEXT NOT NULL,
	auto_generated INTEGER NOT NULL CHECK (auto_generated IN (0, 1)),
	reply_count INTEGER NOT NULL,
	reaction_count INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	deleted_at INTEGER
)  STRICT;
INSERT INTO "post" VALUES(456252802046328832,456252801752760320,456252801880686592,1,0,1,1,1,456252801752760320,0,0,'about #upgrades, @chat-assistant','[{"kind":"agent","id":"01a205e2-f419-7000-800c-7206dfa91ef8","text":"@chat-assistant"}]','#upgrades','[]',0,1,1,1795395089549004,NULL);
INSERT INTO "post" VALUES(456252802098757632,456252801752760320,456252801752760322,1,0,1,7,1,456252801752760320,456252802046328832,0,'a reply','[]','','[]',0,0,0,1795395089574967,NULL);
INSERT INTO "post" VALUES(456252802170060800,456252801752760320,456252801752760322,1,0,1,1,1,456252801752760320,0,0,'once','[]','','[]',0,0,0,1795395089608801,NULL);
CREATE TABLE post_tag (
	workspace INTEGER NOT NULL,
	tag TEXT NOT NULL,
	post INTEGER NOT NULL,
	PRIMARY KEY (workspace, tag, post)
)  STRICT, WITHOUT ROWID;
INSERT INTO "post_tag" VALUES(456252801752760320,'#upgrades',456252802046328832);
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
INSERT INTO "principal" VALUES(456252801752760321,456252801752760320,3,3,'system',NULL,NULL,'[]',NULL,1795395089421798);
INSERT INTO "principal" VALUES(456252801752760322,456252801752760320,1,4,'operator',NULL,NULL,'[]',NULL,1795395089421798);
INSERT INTO "principal" VALUES(456252801880686592,456252801752760320,1,2,'Ada',NULL,NULL,'[]',NULL,1795395089471203);
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
CREATE TABLE rate_event (
	actor INTEGER NOT NULL,
	kind INTEGER NOT NULL,
	peer INTEGER NOT NULL,
	at_us INTEGER NOT NULL,
	PRIMARY KEY (actor, kind, peer, at_us)
)  STRICT, WITHOUT ROWID;
CREATE TABLE reaction (
	post INTEGER NOT NULL,
	emoji TEXT NOT NULL,
	actor INTEGER NOT NULL,
	actor_kind INTEGER NOT NULL CHECK (actor_kind BETWEEN 1 AND 3),
	PRIMARY KEY (post, emoji, actor)
)  STRICT, WITHOUT ROWID;
INSERT INTO "reaction" VALUES(456252802046328832,'👍',456252801752760322,1);
CREATE TABLE reaction_sum (
	post INTEGER NOT NULL,
	emoji TEXT NOT NULL,
	actors INTEGER NOT NULL,
	PRIMARY KEY (post, emoji)
)  STRICT, WITHOUT ROWID;
INSERT INTO "reaction_sum" VALUES(456252802046328832,'👍',1);
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
INSERT INTO "session" VALUES(456252801910079489,456252801752760320,456252801752760322,456252801800994816,'hello','chat',4,0,1795395089485157,1795395089494680,4);
CREATE TABLE token (
	id INTEGER NOT NULL PRIMARY KEY,
	principal INTEGER NOT NULL REFERENCES principal (id),
	hash BLOB NOT NULL,
	label TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER,
	revoked_at INTEGER
)  STRICT;
INSERT INTO "token" VALUES(456252801752760323,456252801752760322,X'A44020B063BFAE38991B978B2E531C4C625A8F4A757F621C8B1EA770ACC5DAAC','first operator token',1795395089421798,NULL,NULL);
INSERT INTO "token" VALUES(456252801893302272,456252801880686592,X'8BC0AB277DF53D50F1FC88486527A50D9FB4B29E4D52BD3915D66A230DD47167','laptop',1795395089477556,NULL,NULL);
CREATE TABLE token_batch (
	execution INTEGER NOT NULL,
	seq_first INTEGER NOT NULL,
	seq_last INTEGER NOT NULL,
	epoch INTEGER NOT NULL,
	delta_lens BLOB NOT NULL,
	body TEXT NOT NULL,
	PRIMARY KEY (execution, seq_first)
)  STRICT, WITHOUT ROWID;
CREATE TABLE trend (
	workspace INTEGER NOT NULL,
	hour_at INTEGER NOT NULL,
	topic TEXT NOT NULL,
	posts INTEGER NOT NULL,
	PRIMARY KEY (workspace, hour_at, topic)
)  STRICT, WITHOUT ROWID;
INSERT INTO "trend" VALUES(456252801752760320,498720,'#upgrades',1);
INSERT INTO "trend" VALUES(456252801752760320,498720,'@chat-assistant',1);
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
INSERT INTO "turn" VALUES(456252801910079488,456252801910079489,456252801752760320,456252801800994816,'Chat Assistant',456252801752760322,3,'chat',4,'hello','Hello, and welcome to Guild. I should say at once that I am Guild''s builtin responder: a set of rules, not a language model.',1,0,0,X'0704080307020704030505020308080B0204030704020906',1795395089485157,1795395089486759,1,NULL,NULL,'builtin','builtin',0,38,1,0,0,1,26,0,'stop','["system_default"]','{"source":"api","resolution_context":{"resolution_path":["system_default"],"requested_agent":null},"governance_check":{"allowed":true,"requires_human_approval":false,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","agent_maturity":"intern","action_complexity":2,"required_maturity":"intern","confidence":0.6,"rule_id":"ok:chat:2","status_code":"ok","action":"chat"},"request_id":"ab39cd6cb61dc227003bbef90653575b"}');
INSERT INTO "turn" VALUES(456252801924759552,456252801910079489,456252801752760320,456252801800994816,'Chat Assistant',456252801752760322,3,'chat',4,'and on','Tell me more about that.',1,0,0,X'0503050605',1795395089493150,1795395089494680,1,NULL,NULL,'builtin','builtin',0,9,1,0,0,1,7,0,'stop','["session_agent"]','{"source":"api","resolution_context":{"resolution_path":["session_agent"],"requested_agent":null},"governance_check":{"allowed":true,"requires_human_approval":false,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","agent_maturity":"intern","action_complexity":2,"required_maturity":"intern","confidence":0.61,"rule_id":"ok:chat:2","status_code":"ok","action":"chat"},"request_id":"4a8330303d80851acbd0c044181377a1"}');
CREATE TABLE workspace (
	id INTEGER NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	default_agent INTEGER,
	created_at INTEGER NOT NULL
)  STRICT;
INSERT INTO "workspace" VALUES(456252801752760320,'default',NULL,1795395089421798);
CREATE UNIQUE INDEX principal_external ON principal (workspace, external_id) WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX agent_handle ON agent (workspace, handle);
CREATE INDEX session_owner ON session (owner, id);
CREATE INDEX turn_session ON turn (session, id);
CREATE INDEX turn_open ON turn (session, id) WHERE status <= 2;
CREATE INDEX token_live ON token (principal, id) WHERE revoked_at IS NULL;
CREATE INDEX agent_owner ON agent (owner, id);
CREATE INDEX post_audience ON post (audience, id) WHERE reply_to = 0 AND deleted_at IS NULL;
CREATE INDEX post_author ON post (author, id, audience) WHERE reply_to = 0 AND deleted_at IS NULL;
CREATE INDEX post_reply ON post (reply_to, id) WHERE reply_to <> 0 AND deleted_at IS NULL;
CREATE UNIQUE INDEX channel_name ON channel (workspace, name);
CREATE INDEX channel_member_actor ON channel_member (actor, channel);
CREATE INDEX direct_message_inbox ON direct_message (recipient, id) WHERE recipient_deleted = 0;
CREATE INDEX direct_message_sent ON direct_message (sender, id) WHERE sender_deleted = 0;
CREATE INDEX direct_message_thread ON direct_message (sender, recipient, id);
CREATE INDEX direct_message_unread ON direct_message (recipient, id, read_at, recipient_deleted) WHERE read_at IS NULL AND recipient_deleted = 0;
CREATE UNIQUE INDEX approval_pending ON approval (hash) WHERE status = 1;
CREATE INDEX approval_waiting ON approval (agent) WHERE status = 1;
CREATE INDEX approval_open ON approval (expires_at) WHERE status <= 2;
CREATE INDEX approval_workspace ON approval (workspace, id);
COMMIT;
