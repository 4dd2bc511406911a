-- A store of schema 4 as its program left it: an operator, a user, a paused student, a conversation of four messages, a refusal, posts, a channel, a message, a key.
-- token: guild__IhGH-M9nt00vlRGHo_nfAORItEys8NrUU1LSLGP0yM
-- session: 01a205e2-580a-7000-8026-9e35af0bbcaa
-- agent: 01a205e2-5896-7000-8009-9a5ecffee02e
-- guild.key: 376435613130366530393964333066663431353038636636313662303237646239636439616166663031323737653563646266386638323463633536336466620a
PRAGMA page_size=4096;
PRAGMA application_id=1196772420;
PRAGMA user_version=4;
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
INSERT INTO "agent" VALUES(456252717721976832,456252717719879680,'Chat Assistant','chat-assistant','Answers when no other agent was asked.','system',2,1,6200,1,NULL,NULL,'[]','You are a helpful assistant. Answer clearly and briefly.',NULL,0,0,1,NULL,1795395049341415,1795395049341415,1);
INSERT INTO "agent" VALUES(456252718311276544,456252717719879680,'Student','student','','general',1,2,5000,1,NULL,NULL,'[]',NULL,NULL,0,0,0,456252717833158656,1795395049637502,1795395049654375,2);
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
INSERT INTO "channel" VALUES(456252718518927360,456252717719879680,'room','room','',1,0,456252717833158656,1,1,1795395049721536,1);
CREATE TABLE channel_member (
	channel INTEGER NOT NULL,
	actor INTEGER NOT NULL,
	actor_kind INTEGER NOT NULL CHECK (actor_kind BETWEEN 1 AND 3),
	joined_at INTEGER NOT NULL,
	PRIMARY KEY (channel, actor)
)  STRICT, WITHOUT ROWID;
INSERT INTO "channel_member" VALUES(456252718518927360,456252717833158656,1,1795395049721536);
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
INSERT INTO "direct_message" VALUES(456252718606942208,456252717719879680,456252717719879682,1,456252717833158656,1,4,'psst','[]',0,1795395049762485,NULL,NULL,0,0);
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
INSERT INTO "idempotency" VALUES(X'7CECFF3E3011D3C2DF9C52ED53EC0AE0',X'A0294F4963FD4EB8FF22AF640461C990',456252717719879682,1795395049773468,695402760113672293,0,17,201,'{"id":"01a205e2-592d-7fc0-8016-b047eb7dfd65","author":{"kind":"human","id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"status","content":"once","visibility":"public","channel_id":null,"reply_to":null,"mentions":[],"hashtags":[],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:50:49.773468Z"}');
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
INSERT INTO "log" VALUES(1,1795395049340880,1,456252717719879680,0,0,0,0,'configure',7,'{"action":"configure","agent_id":null,"agent_name":null,"change":{"new":{"principal_id":"01a205e2-577c-7000-8058-a360790ef15d","role":"operator","token_id":"01a205e2-577c-7000-8078-d70a1f5264c8","workspace":"default"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:49.340279Z","error_message":null,"execution_id":null,"outcome":"changed","principal":null,"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:49.340279Z"}',X'21BFFA72495E1BD345D192AB2A038D991A51E125C160CE93A5ACDB3C8C3FE77C',X'5CBD9573224B3410F30314DEA82ECB766E0EE06DE13BF1FBD77816BE0526B38A',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(2,1795395049341415,5,456252717719879680,0,456252717721976832,0,0,'create',7,'{"action":"create","agent_id":"01a205e2-577d-7000-8019-2fd65988595a","agent_name":"Chat Assistant","change":{"new":{"capabilities":"[]","category":"system","description":"Answers when no other agent was asked.","handle":"chat-assistant","kind":"hosted","lifecycle":"active","maturity":"intern","name":"Chat Assistant","system_prompt_sha256":"6fad46c7d396257971e97882b523ce4fa7c514d0e56478f86fc6a1fbd7f2e6ef"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:49.341400Z","error_message":null,"execution_id":null,"outcome":"changed","principal":null,"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:49.341400Z"}',X'C94DE40E4AD69672537B8603D4853182E22FDF011BC6CA169D14037B5B07C5AD',X'127F3E605FF08FBCDFD9B8963713A255EEEBF12D88CF6DB8277EB6FC29182862',0,0,0,'agent_changed','{"id":"01a205e2-577d-7000-8019-2fd65988595a","handle":"chat-assistant","maturity":"intern","lifecycle":"active","revision":1}','agent:01a205e2-577d-7000-8019-2fd65988595a workspace:01a205e2-577c-7000-8018-4158f3fb51c5',NULL,0,0);
INSERT INTO "log" VALUES(3,1795395049417438,1,456252717719879680,456252717719879682,0,0,0,'create',7,'{"action":"create","agent_id":null,"agent_name":null,"change":{"new":{"disabled":false,"name":"Ada","role":"member"},"old":null,"principal_id":"01a205e2-57b2-7040-800f-0d64ecbf0271"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:49.394881Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:49.394881Z"}',X'9ABC79AC3A1BF603E4236F3FFB77C9E1896C4ED0ED79AA8AF214C8B98337C0C5',X'4DE47AD214A8397A43DAC760E02633C0CFF089ABA891E7092D4B27F9C5EAC16C',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(4,1795395049457438,1,456252717719879680,456252717719879682,0,0,0,'grant',7,'{"action":"grant","agent_id":null,"agent_name":null,"change":{"new":{"principal_id":"01a205e2-57b2-7040-800f-0d64ecbf0271","token_id":"01a205e2-57f1-7000-8003-78fa2e9250f4"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:49.457312Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:49.457312Z"}',X'728DE8929FED1B0964FDA254DB424A97D12E9F98090D8D301810FE87625133E7',X'B390712889723417766C2A2622C6D5E1B463E8A47670AEC21EBA73B23E70082A',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(5,1795395049482611,7,456252717719879680,456252717719879682,456252717721976832,456252718017675264,456252718017675265,'chat',1,'{"action":"chat","agent_id":"01a205e2-577d-7000-8019-2fd65988595a","agent_name":"Chat Assistant","change":null,"code":null,"decision":{"action":"chat","action_complexity":2,"agent_maturity":"intern","allowed":true,"confidence":0.6,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"ok:chat:2","status_code":"ok"},"duration_ms":null,"end":null,"error_message":null,"execution_id":"01a205e2-580a-7000-800b-18daa58b4f53","outcome":"started","principal":{"id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator"},"rule_id":"ok:chat:2","session_id":"01a205e2-580a-7000-8026-9e35af0bbcaa","start":"2026-11-23T00:50:49.482522Z"}',X'73819F8BEF4060A4264EBDF54C7E33CA541BC55D822B6C7F6CFE4FC0281751F3',X'3A22A7CD0FBDE3001EE3367BE2684B5DF70658E956FABDAF3F813E43773A20B4',0,0,0,'execution_started','{"execution_id":"01a205e2-580a-7000-800b-18daa58b4f53","agent_id":"01a205e2-577d-7000-8019-2fd65988595a","session_id":"01a205e2-580a-7000-8026-9e35af0bbcaa","user_id":"01a205e2-577c-7000-8058-a360790ef15d","action":"chat"}','execution:01a205e2-580a-7000-800b-18daa58b4f53 agent:01a205e2-577d-7000-8019-2fd65988595a',NULL,0,0);
INSERT INTO "log" VALUES(6,1795395049483655,15,456252717719879680,456252717719879682,456252717721976832,456252718017675264,456252718017675265,'chat',2,'{"action":"chat","agent_id":"01a205e2-577d-7000-8019-2fd65988595a","agent_name":"Chat Assistant","change":null,"code":null,"decision":null,"duration_ms":1,"end":"2026-11-23T00:50:49.483634Z","error_message":null,"execution_id":"01a205e2-580a-7000-800b-18daa58b4f53","outcome":"completed","principal":{"id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator"},"rule_id":null,"session_id":"01a205e2-580a-7000-8026-9e35af0bbcaa","start":"2026-11-23T00:50:49.482522Z"}',X'D540832660B9FFF08C68F0C5D559C8E9A955DDC5D8E6DE589CABE67DAAD1DE02',X'658694DE89A33173716E6BDD18DE69EC294150CC2DC27EACF5B277C94E9F5ADD',0,0,0,'execution_ended','{"execution_id":"01a205e2-580a-7000-800b-18daa58b4f53","agent_id":"01a205e2-577d-7000-8019-2fd65988595a","status":"completed","duration_ms":1}','execution:01a205e2-580a-7000-800b-18daa58b4f53 agent:01a205e2-577d-7000-8019-2fd65988595a','episode',0,0);
INSERT INTO "log" VALUES(7,1795395049531532,7,456252717719879680,456252717719879682,456252717721976832,456252718120468480,456252718017675265,'chat',1,'{"action":"chat","agent_id":"01a205e2-577d-7000-8019-2fd65988595a","agent_name":"Chat Assistant","change":null,"code":null,"decision":{"action":"chat","action_complexity":2,"agent_maturity":"intern","allowed":true,"confidence":0.61,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"ok:chat:2","status_code":"ok"},"duration_ms":null,"end":null,"error_message":null,"execution_id":"01a205e2-583b-7040-8017-1fff2ef3befe","outcome":"started","principal":{"id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator"},"rule_id":"ok:chat:2","session_id":"01a205e2-580a-7000-8026-9e35af0bbcaa","start":"2026-11-23T00:50:49.531187Z"}',X'77836C75CE852B374BEEDBEE26EB95F892C91AB477E516F254DC3EA7595EC3A1',X'B61F684065ECE944DB45E30A8DCBFC6C20458DF1906559BF9BAFC27C1913D582',0,0,0,'execution_started','{"execution_id":"01a205e2-583b-7040-8017-1fff2ef3befe","agent_id":"01a205e2-577d-7000-8019-2fd65988595a","session_id":"01a205e2-580a-7000-8026-9e35af0bbcaa","user_id":"01a205e2-577c-7000-8058-a360790ef15d","action":"chat"}','execution:01a205e2-583b-7040-8017-1fff2ef3befe agent:01a205e2-577d-7000-8019-2fd65988595a',NULL,0,0);
INSERT INTO "log" VALUES(8,1795395049565620,15,456252717719879680,456252717719879682,456252717721976832,456252718120468480,456252718017675265,'chat',2,'{"action":"chat","agent_id":"01a205e2-577d-7000-8019-2fd65988595a","agent_name":"Chat Assistant","change":null,"code":null,"decision":null,"duration_ms":34,"end":"2026-11-23T00:50:49.565583Z","error_message":null,"execution_id":"01a205e2-583b-7040-8017-1fff2ef3befe","outcome":"completed","principal":{"id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator"},"rule_id":null,"session_id":"01a205e2-580a-7000-8026-9e35af0bbcaa","start":"2026-11-23T00:50:49.531187Z"}',X'86EB35DC88497F6BBDADF55A1CA1034AC91D510138935E9752FAF9F4CF4AB697',X'473160980CB42D2E1103AF26451DADC4D350F4B1A5F3133699E1102C6CD6869A',0,0,0,'execution_ended','{"execution_id":"01a205e2-583b-7040-8017-1fff2ef3befe","agent_id":"01a205e2-577d-7000-8019-2fd65988595a","status":"completed","duration_ms":34}','execution:01a205e2-583b-7040-8017-1fff2ef3befe agent:01a205e2-577d-7000-8019-2fd65988595a','episode',0,0);
INSERT INTO "log" VALUES(9,1795395049637502,5,456252717719879680,456252717833158656,456252718311276544,0,0,'create',7,'{"action":"create","agent_id":"01a205e2-5896-7000-8009-9a5ecffee02e","agent_name":"Student","change":{"new":{"capabilities":"[]","category":"general","description":"","handle":"student","kind":"hosted","lifecycle":"active","maturity":"student","name":"Student"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:49.622419Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-57b2-7040-800f-0d64ecbf0271","name":"Ada"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:49.622419Z"}',X'30B3D8FC72885D18AB0C8E8F16637DA84CD512DB425BD9651685FFF10518140E',X'57A52A05994CF4EA43B83EA2AFCC460A7D52854B2FD8B67E6B03B03DD46CB377',0,0,0,'agent_changed','{"id":"01a205e2-5896-7000-8009-9a5ecffee02e","handle":"student","maturity":"student","lifecycle":"active","revision":1}','agent:01a205e2-5896-7000-8009-9a5ecffee02e workspace:01a205e2-577c-7000-8018-4158f3fb51c5',NULL,0,0);
INSERT INTO "log" VALUES(10,1795395049648056,1,456252717719879680,456252717833158656,456252718311276544,0,0,'chat',3,'{"action":"chat","agent_id":"01a205e2-5896-7000-8009-9a5ecffee02e","agent_name":"Student","change":null,"code":"governance_blocked","decision":{"action":"chat","action_complexity":2,"agent_maturity":"student","allowed":false,"confidence":0.5,"proceed":false,"reason":"Agent \"Student\" (student) is blocked from \"chat\": it needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"maturity:chat:2","status_code":"maturity"},"duration_ms":1,"end":"2026-11-23T00:50:49.647983Z","error_message":"Agent \"Student\" (student) is blocked from \"chat\": it needs intern or above.","execution_id":null,"outcome":"failed","principal":{"id":"01a205e2-57b2-7040-800f-0d64ecbf0271","name":"Ada"},"rule_id":"maturity:chat:2","session_id":null,"start":"2026-11-23T00:50:49.647966Z"}',X'84DB319AC68B3DA49619C64CE54549407BF4180F150681552684479C5005D937',X'6AB17BB267C0037477D3F01B3B4EC9D8ED32BF9106775BAB2E4CFC15624CD2C2',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(11,1795395049654375,5,456252717719879680,456252717719879682,456252718311276544,0,0,'configure',7,'{"action":"configure","agent_id":"01a205e2-5896-7000-8009-9a5ecffee02e","agent_name":"Student","change":{"new":{"lifecycle":"paused"},"old":{"lifecycle":"active"}},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:49.654323Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:49.654323Z"}',X'93F927971EA968DE6CE918ABA967BDE4255DA56599C014E3225B78033C871543',X'640D567FD39492688812571072197210D5365A35461382A27F54DD4E22971772',0,0,0,'agent_changed','{"id":"01a205e2-5896-7000-8009-9a5ecffee02e","handle":"student","maturity":"student","lifecycle":"paused","revision":2}','agent:01a205e2-5896-7000-8009-9a5ecffee02e workspace:01a205e2-577c-7000-8018-4158f3fb51c5',NULL,0,0);
INSERT INTO "log" VALUES(12,1795395049670818,5,456252717719879680,456252717833158656,0,0,0,'post',7,'{"action":"post","agent_id":null,"agent_name":null,"change":{"post_id":"01a205e2-58c6-7fc0-800e-36fb931f7802","redacted":[],"type":"status","visibility":"public"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:49.670779Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-57b2-7040-800f-0d64ecbf0271","name":"Ada"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:49.670779Z"}',X'4C7EA425CA151D39C4C48C663E2F2E57A78206B8F1B167EE0E321D7298F53B9E',X'747D16C80EE37A0308E5571657383B4D04A63D4C4A15A8DABF806C865748CBBD',0,0,0,'agent_post','{"id":"01a205e2-58c6-7fc0-800e-36fb931f7802","author":{"kind":"human","id":"01a205e2-57b2-7040-800f-0d64ecbf0271","name":"Ada","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"status","content":"about #upgrades, @chat-assistant","visibility":"public","channel_id":null,"reply_to":null,"mentions":[{"kind":"agent","id":"01a205e2-577d-7000-8019-2fd65988595a","text":"@chat-assistant"}],"hashtags":["#upgrades"],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:50:49.670818Z"}','global',NULL,0,0);
INSERT INTO "log" VALUES(13,1795395049686638,5,456252717719879680,456252717719879682,0,0,0,'reply',7,'{"action":"reply","agent_id":null,"agent_name":null,"change":{"post_id":"01a205e2-58d6-7fc0-800b-bc50ef1220d4","redacted":[],"reply_to":"01a205e2-58c6-7fc0-800e-36fb931f7802","type":"status","visibility":"public"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:49.686609Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:49.686609Z"}',X'0876228CFEC7561AE42C81AA51DC704986F1B28EC848F61E219222F9E38800DB',X'ECA34C251F84279FC41068BA85B0638787C8026885E473F487764FAB1C749224',0,0,0,'reply_added','{"id":"01a205e2-58d6-7fc0-800b-bc50ef1220d4","author":{"kind":"human","id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"response","content":"a reply","visibility":"public","channel_id":null,"reply_to":"01a205e2-58c6-7fc0-800e-36fb931f7802","mentions":[],"hashtags":[],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:50:49.686638Z"}','post:01a205e2-58c6-7fc0-800e-36fb931f7802 global',NULL,0,0);
INSERT INTO "log" VALUES(14,1795395049718006,5,456252717719879680,456252717719879682,0,0,0,'react',7,'{"action":"react","agent_id":null,"agent_name":null,"change":{"new":{"emoji":"👍","post_id":"01a205e2-58c6-7fc0-800e-36fb931f7802"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:49.717956Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:49.717956Z"}',X'8D5A90C530FA345317FD757E7D49C7DE443187570187227DA39FBEF8B0A44933',X'9F4D0007FAB0C57371F7763F821F750B625179C7E65A5A98B1D3D9D0A0B5139B',0,0,0,'reaction_added','{"post_id":"01a205e2-58c6-7fc0-800e-36fb931f7802","emoji":"👍","actor":{"kind":"human","id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator"},"count":1}','post:01a205e2-58c6-7fc0-800e-36fb931f7802 global',NULL,0,0);
INSERT INTO "log" VALUES(15,1795395049721536,5,456252717719879680,456252717833158656,0,0,0,'channel_create',7,'{"action":"channel_create","agent_id":null,"agent_name":null,"change":{"new":{"channel_id":"01a205e2-58f9-7040-800c-df0b4743c2f1","name":"room","private":false},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:49.721477Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-57b2-7040-800f-0d64ecbf0271","name":"Ada"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:49.721477Z"}',X'7195EF597D4DF2FE935543C9AD993EDFE3B601B9F4903B88DED840A8D97272D8',X'3D5346B10F6A868A6179EE29EE24A632B2EDA4BF10DCDFC4E0DB84D3F72E248D',0,0,0,'channel_created','{"id":"01a205e2-58f9-7040-800c-df0b4743c2f1","name":"room","display_name":"room","description":"","type":"general","private":false,"created_by":"01a205e2-57b2-7040-800f-0d64ecbf0271","member_count":1,"created_at":"2026-11-23T00:50:49.721536Z","revision":1}','channel:01a205e2-58f9-7040-800c-df0b4743c2f1 global',NULL,0,0);
INSERT INTO "log" VALUES(16,1795395049762485,5,456252717719879680,456252717719879682,0,0,0,'direct_message',7,'{"action":"direct_message","agent_id":null,"agent_name":null,"change":{"new":{"message_id":"01a205e2-5922-7fc0-8015-c1d92061b4df","to_id":"01a205e2-57b2-7040-800f-0d64ecbf0271","type":"note"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:49.762386Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:49.762386Z"}',X'18F3C87EDAF9311D0311AA2354683F826DDC10CC0E3231061B41478D3FECF018',X'507B4749664260464DAE2CDC119A6EAACA90C8D09958E095589D18577668799A',0,0,0,'direct_message','{"id":"01a205e2-5922-7fc0-8015-c1d92061b4df","from":{"kind":"human","id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator"},"to":{"kind":"human","id":"01a205e2-57b2-7040-800f-0d64ecbf0271","name":"Ada"},"type":"note","content":"psst","created_at":"2026-11-23T00:50:49.762485Z","delivered_at":null,"read_at":null}','user:01a205e2-577c-7000-8058-a360790ef15d user:01a205e2-57b2-7040-800f-0d64ecbf0271',NULL,456252717719879682,456252717833158656);
INSERT INTO "log" VALUES(17,1795395049773468,5,456252717719879680,456252717719879682,0,0,0,'post',7,'{"action":"post","agent_id":null,"agent_name":null,"change":{"post_id":"01a205e2-592d-7fc0-8016-b047eb7dfd65","redacted":[],"type":"status","visibility":"public"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:49.773430Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:49.773430Z"}',X'D333F59B0159A92E4EB76BDCD8235150DD2588524A1041B4893D2DA9EF6971B2',X'178CB4A836BABFB30807EEC644C2048D117F476D03AAEF63672E7A41D02F65A8',0,0,0,'agent_post','{"id":"01a205e2-592d-7fc0-8016-b047eb7dfd65","author":{"kind":"human","id":"01a205e2-577c-7000-8058-a360790ef15d","name":"operator","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"status","content":"once","visibility":"public","channel_id":null,"reply_to":null,"mentions":[],"hashtags":[],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:50:49.773468Z"}','global',NULL,0,0);
CREATE TABLE meta (
	name TEXT NOT NULL PRIMARY KEY,
	value BLOB NOT NULL
)  STRICT;
INSERT INTO "meta" VALUES('id_secret',X'F00B9EAB52CFD8FCEBDCAD18E919C805');
INSERT INTO "meta" VALUES('epoch',X'995BAF86CD321A00');
INSERT INTO "meta" VALUES('generation',X'0100000000000000');
INSERT INTO "meta" VALUES('key_check',X'15365884E30833F086F24AE51E152586BB1D8896F4CCF416FA680D8A883E5523');
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
INSERT INTO "post" VALUES(456252718414004224,456252717719879680,456252717833158656,1,0,1,1,1,456252717719879680,0,0,'about #upgrades, @chat-assistant','[{"kind":"agent","id":"01a205e2-577d-7000-8019-2fd65988595a","text":"@chat-assistant"}]','#upgrades','[]',0,1,1,1795395049670818,NULL);
INSERT INTO "post" VALUES(456252718447558656,456252717719879680,456252717719879682,1,0,1,7,1,456252717719879680,456252718414004224,0,'a reply','[]','','[]',0,0,0,1795395049686638,NULL);
INSERT INTO "post" VALUES(456252718630010880,456252717719879680,456252717719879682,1,0,1,1,1,456252717719879680,0,0,'once','[]','','[]',0,0,0,1795395049773468,NULL);
CREATE TABLE post_tag (
	workspace INTEGER NOT NULL,
	tag TEXT NOT NULL,
	post INTEGER NOT NULL,
	PRIMARY KEY (workspace, tag, post)
)  STRICT, WITHOUT ROWID;
INSERT INTO "post_tag" VALUES(456252717719879680,'#upgrades',456252718414004224);
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
INSERT INTO "principal" VALUES(456252717719879681,456252717719879680,3,3,'system',NULL,NULL,'[]',NULL,1795395049340880);
INSERT INTO "principal" VALUES(456252717719879682,456252717719879680,1,4,'operator',NULL,NULL,'[]',NULL,1795395049340880);
INSERT INTO "principal" VALUES(456252717833158656,456252717719879680,1,2,'Ada',NULL,NULL,'[]',NULL,1795395049417438);
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
INSERT INTO "reaction" VALUES(456252718414004224,'👍',456252717719879682,1);
CREATE TABLE reaction_sum (
	post INTEGER NOT NULL,
	emoji TEXT NOT NULL,
	actors INTEGER NOT NULL,
	PRIMARY KEY (post, emoji)
)  STRICT, WITHOUT ROWID;
INSERT INTO "reaction_sum" VALUES(456252718414004224,'👍',1);
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
INSERT INTO "session" VALUES(456252718017675265,456252717719879680,456252717719879682,456252717721976832,'hello','chat',4,0,1795395049482611,1795395049565620,4);
CREATE TABLE token (
	id INTEGER NOT NULL PRIMARY KEY,
	principal INTEGER NOT NULL REFERENCES principal (id),
	hash BLOB NOT NULL,
	label TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER,
	revoked_at INTEGER
)  STRICT;
INSERT INTO "token" VALUES(456252717719879683,456252717719879682,X'1979ACF8BABA2CF1F2C77386E66FE2EDB7ACD21B8EC15F960B532D684A39C096','first operator token',1795395049340880,NULL,NULL);
INSERT INTO "token" VALUES(456252717965246464,456252717833158656,X'296AC80E61F80472CF96066D6BEC75FBFEBA8D9C2C2CEF2FCA8E67635EED1F4B','laptop',1795395049457438,NULL,NULL);
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
INSERT INTO "trend" VALUES(456252717719879680,498720,'#upgrades',1);
INSERT INTO "trend" VALUES(456252717719879680,498720,'@chat-assistant',1);
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
INSERT INTO "turn" VALUES(456252718017675264,456252718017675265,456252717719879680,456252717721976832,'Chat Assistant',456252717719879682,3,'chat',4,'hello','Hello, and welcome to Guild. I should say at once that I am Guild''s builtin responder: a set of rules, not a language model.',1,0,0,X'0704080307020704030505020308080B0204030704020906',1795395049482611,1795395049483655,1,NULL,NULL,'builtin','builtin',0,38,1,0,0,1,26,0,'stop','["system_default"]','{"source":"api","resolution_context":{"resolution_path":["system_default"],"requested_agent":null},"governance_check":{"allowed":true,"requires_human_approval":false,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","agent_maturity":"intern","action_complexity":2,"required_maturity":"intern","confidence":0.6,"rule_id":"ok:chat:2","status_code":"ok","action":"chat"},"request_id":"d88d6a6a0e914d1bf89d36b630914f28"}');
INSERT INTO "turn" VALUES(456252718120468480,456252718017675265,456252717719879680,456252717721976832,'Chat Assistant',456252717719879682,3,'chat',4,'and on','Tell me more about that.',1,0,0,X'0503050605',1795395049531532,1795395049565620,34,NULL,NULL,'builtin','builtin',0,9,1,0,0,1,7,0,'stop','["session_agent"]','{"source":"api","resolution_context":{"resolution_path":["session_agent"],"requested_agent":null},"governance_check":{"allowed":true,"requires_human_approval":false,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","agent_maturity":"intern","action_complexity":2,"required_maturity":"intern","confidence":0.61,"rule_id":"ok:chat:2","status_code":"ok","action":"chat"},"request_id":"57b383fb7d118ad62852d592ee5f6f31"}');
CREATE TABLE workspace (
	id INTEGER NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	default_agent INTEGER,
	created_at INTEGER NOT NULL
)  STRICT;
INSERT INTO "workspace" VALUES(456252717719879680,'default',NULL,1795395049340880);
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
COMMIT;
