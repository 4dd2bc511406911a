-- A store of schema 3 as its program left it: an operator, a user, a paused student, a conversation of four messages, a refusal, posts, a channel, a message.
-- token: guild_pat-Rx-tjdUm8bKLCbzCfQsJMPj7sQpbLuCIWpywcg4
-- session: 01a205e2-2755-7040-803c-85d3748d46cf
-- agent: 01a205e2-276a-7040-800a-df0910f69887
-- guild.key: 383039386662373730343933656131326333366664313637653161396337613632316461643163383364376431663934386665383130313662613064616536390a
PRAGMA page_size=4096;
PRAGMA application_id=1196772420;
PRAGMA user_version=3;
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
INSERT INTO "agent" VALUES(456252691799080960,456252691794886656,'Chat Assistant','chat-assistant','Answers when no other agent was asked.','system',2,1,6200,1,NULL,NULL,'[]','You are a helpful assistant. Answer clearly and briefly.',NULL,0,0,1,NULL,1795395036980641,1795395036980641,1);
INSERT INTO "agent" VALUES(456252691912359936,456252691794886656,'Student','student','','general',1,2,5000,1,NULL,NULL,'[]',NULL,NULL,0,0,0,456252691834765312,1795395037034947,1795395037049674,2);
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
INSERT INTO "channel" VALUES(456252692002504704,456252691794886656,'room','room','',1,0,456252691834765312,1,1,1795395037077635,1);
CREATE TABLE channel_member (
	channel INTEGER NOT NULL,
	actor INTEGER NOT NULL,
	actor_kind INTEGER NOT NULL CHECK (actor_kind BETWEEN 1 AND 3),
	joined_at INTEGER NOT NULL,
	PRIMARY KEY (channel, actor)
)  STRICT, WITHOUT ROWID;
INSERT INTO "channel_member" VALUES(456252692002504704,456252691834765312,1,1795395037077635);
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
INSERT INTO "direct_message" VALUES(456252692017152000,456252691794886656,456252691794886658,1,456252691834765312,1,4,'psst','[]',0,1795395037083186,NULL,NULL,0,0);
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
INSERT INTO "log" VALUES(1,1795395036979579,1,456252691794886656,0,0,0,0,'configure',7,'{"action":"configure","agent_id":null,"agent_name":null,"change":{"new":{"principal_id":"01a205e2-2732-7000-8051-d28b650b46ce","role":"operator","token_id":"01a205e2-2732-7000-8077-b51a6889994e","workspace":"default"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:36.978908Z","error_message":null,"execution_id":null,"outcome":"changed","principal":null,"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:36.978908Z"}',X'E66042E66BC847D67042CCE1F01C9B3C0F89A2D846441E79221214F2D30B1FF8',X'3AEBF4A7A36292EEACE5D4A576A88A8ADB8E3D7CD53E8FCDB0E30BAE4C152EBA',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(2,1795395036980641,5,456252691794886656,0,456252691799080960,0,0,'create',7,'{"action":"create","agent_id":"01a205e2-2734-7000-8002-b0ed97005a4a","agent_name":"Chat Assistant","change":{"new":{"capabilities":"[]","category":"system","description":"Answers when no other agent was asked.","handle":"chat-assistant","kind":"hosted","lifecycle":"active","maturity":"intern","name":"Chat Assistant","system_prompt_sha256":"6fad46c7d396257971e97882b523ce4fa7c514d0e56478f86fc6a1fbd7f2e6ef"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:36.980623Z","error_message":null,"execution_id":null,"outcome":"changed","principal":null,"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:36.980623Z"}',X'91A25EC634A98A0FFCC72C6E6058FABA4EA62F1539FDAAEC730586BA57FBC69C',X'4FDABDBB8D0B5B76586BBEBA4A4476E75D587086AA496AA43B2BE8A4635912EA',0,0,0,'agent_changed','{"id":"01a205e2-2734-7000-8002-b0ed97005a4a","handle":"chat-assistant","maturity":"intern","lifecycle":"active","revision":1}','agent:01a205e2-2734-7000-8002-b0ed97005a4a workspace:01a205e2-2732-7000-801d-6d8f625aa587',NULL,0,0);
INSERT INTO "log" VALUES(3,1795395036997737,1,456252691794886656,456252691794886658,0,0,0,'create',7,'{"action":"create","agent_id":null,"agent_name":null,"change":{"new":{"disabled":false,"name":"Ada","role":"member"},"old":null,"principal_id":"01a205e2-2745-7040-800c-ed846021cf33"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:36.997697Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-2732-7000-8051-d28b650b46ce","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:36.997697Z"}',X'E78BFF477D1859DA66126B36342AAA2A86E323B9489DD0E0122DD12B2F2FFECD',X'CDAEE67E4F18D58D25216189BD29B33187DD142AF969D0C26B459E76EB0D4C71',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(4,1795395037011463,1,456252691794886656,456252691794886658,0,0,0,'grant',7,'{"action":"grant","agent_id":null,"agent_name":null,"change":{"new":{"principal_id":"01a205e2-2745-7040-800c-ed846021cf33","token_id":"01a205e2-2753-7040-800a-59bf653a253d"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:37.011392Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-2732-7000-8051-d28b650b46ce","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:37.011392Z"}',X'010586F54399BD3C2A84E7CFF5D5BEF61B6AF2DFC47E617E190502686555B27D',X'73316586E62BE41F71430DD1C4988D075CFEEFE57B24D9F1EAA9597E0953353B',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(5,1795395037013206,7,456252691794886656,456252691794886658,456252691799080960,456252691868319744,456252691868319745,'chat',1,'{"action":"chat","agent_id":"01a205e2-2734-7000-8002-b0ed97005a4a","agent_name":"Chat Assistant","change":null,"code":null,"decision":{"action":"chat","action_complexity":2,"agent_maturity":"intern","allowed":true,"confidence":0.6,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"ok:chat:2","status_code":"ok"},"duration_ms":null,"end":null,"error_message":null,"execution_id":"01a205e2-2755-7040-8000-192026b15459","outcome":"started","principal":{"id":"01a205e2-2732-7000-8051-d28b650b46ce","name":"operator"},"rule_id":"ok:chat:2","session_id":"01a205e2-2755-7040-803c-85d3748d46cf","start":"2026-11-23T00:50:37.013114Z"}',X'71919E61EA4D1F9D4EB3810E452FC17454AD56B5C925C797393C7A1B8E2F5D97',X'12FEC491E70AF21A39D9D13939CC18FB8DFCAE1574560893A336D9D544D34828',0,0,0,'execution_started','{"execution_id":"01a205e2-2755-7040-8000-192026b15459","agent_id":"01a205e2-2734-7000-8002-b0ed97005a4a","session_id":"01a205e2-2755-7040-803c-85d3748d46cf","user_id":"01a205e2-2732-7000-8051-d28b650b46ce","action":"chat"}','execution:01a205e2-2755-7040-8000-192026b15459 agent:01a205e2-2734-7000-8002-b0ed97005a4a',NULL,0,0);
INSERT INTO "log" VALUES(6,1795395037023322,15,456252691794886656,456252691794886658,456252691799080960,456252691868319744,456252691868319745,'chat',2,'{"action":"chat","agent_id":"01a205e2-2734-7000-8002-b0ed97005a4a","agent_name":"Chat Assistant","change":null,"code":null,"decision":null,"duration_ms":10,"end":"2026-11-23T00:50:37.023287Z","error_message":null,"execution_id":"01a205e2-2755-7040-8000-192026b15459","outcome":"completed","principal":{"id":"01a205e2-2732-7000-8051-d28b650b46ce","name":"operator"},"rule_id":null,"session_id":"01a205e2-2755-7040-803c-85d3748d46cf","start":"2026-11-23T00:50:37.013114Z"}',X'1B7F0F001DBCB6868EB8645F3BA2FA0A93D7E20B75236D12494EE9B6DF51C3F3',X'23FA45928578E144829C109948EFC9959BD3F5755C627DBB26AC5C09FF12FF7A',0,0,0,'execution_ended','{"execution_id":"01a205e2-2755-7040-8000-192026b15459","agent_id":"01a205e2-2734-7000-8002-b0ed97005a4a","status":"completed","duration_ms":10}','execution:01a205e2-2755-7040-8000-192026b15459 agent:01a205e2-2734-7000-8002-b0ed97005a4a','episode',0,0);
INSERT INTO "log" VALUES(7,1795395037025868,7,456252691794886656,456252691794886658,456252691799080960,456252691893452800,456252691868319745,'chat',1,'{"action":"chat","agent_id":"01a205e2-2734-7000-8002-b0ed97005a4a","agent_name":"Chat Assistant","change":null,"code":null,"decision":{"action":"chat","action_complexity":2,"agent_maturity":"intern","allowed":true,"confidence":0.61,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"ok:chat:2","status_code":"ok"},"duration_ms":null,"end":null,"error_message":null,"execution_id":"01a205e2-2761-7000-800a-8edaa3c88d38","outcome":"started","principal":{"id":"01a205e2-2732-7000-8051-d28b650b46ce","name":"operator"},"rule_id":"ok:chat:2","session_id":"01a205e2-2755-7040-803c-85d3748d46cf","start":"2026-11-23T00:50:37.025512Z"}',X'394643EC3C3CE2BAB08214608462916649E48D6108ECBDB22BFB2765FDC3CE9D',X'B66D5178C3502E1EAE5BF80E50CF51A85DBA78464190DBA3D836BDE7B093BB97',0,0,0,'execution_started','{"execution_id":"01a205e2-2761-7000-800a-8edaa3c88d38","agent_id":"01a205e2-2734-7000-8002-b0ed97005a4a","session_id":"01a205e2-2755-7040-803c-85d3748d46cf","user_id":"01a205e2-2732-7000-8051-d28b650b46ce","action":"chat"}','execution:01a205e2-2761-7000-800a-8edaa3c88d38 agent:01a205e2-2734-7000-8002-b0ed97005a4a',NULL,0,0);
INSERT INTO "log" VALUES(8,1795395037026451,15,456252691794886656,456252691794886658,456252691799080960,456252691893452800,456252691868319745,'chat',2,'{"action":"chat","agent_id":"01a205e2-2734-7000-8002-b0ed97005a4a","agent_name":"Chat Assistant","change":null,"code":null,"decision":null,"duration_ms":1,"end":"2026-11-23T00:50:37.026430Z","error_message":null,"execution_id":"01a205e2-2761-7000-800a-8edaa3c88d38","outcome":"completed","principal":{"id":"01a205e2-2732-7000-8051-d28b650b46ce","name":"operator"},"rule_id":null,"session_id":"01a205e2-2755-7040-803c-85d3748d46cf","start":"2026-11-23T00:50:37.025512Z"}',X'E2E3AE789BB4BF4A14E1087ABC5C8B43E35BED81E49CF5933AEA8D77849811A6',X'7E045E45385F06B4590BB40BD5D07E8A8142F9C522DE437E614CA1057AA5494B',0,0,0,'execution_ended','{"execution_id":"01a205e2-2761-7000-800a-8edaa3c88d38","agent_id":"01a205e2-2734-7000-8002-b0ed97005a4a","status":"completed","duration_ms":1}','execution:01a205e2-2761-7000-800a-8edaa3c88d38 agent:01a205e2-2734-7000-8002-b0ed97005a4a','episode',0,0);
INSERT INTO "log" VALUES(9,1795395037034947,5,456252691794886656,456252691834765312,456252691912359936,0,0,'create',7,'{"action":"create","agent_id":"01a205e2-276a-7040-800a-df0910f69887","agent_name":"Student","change":{"new":{"capabilities":"[]","category":"general","description":"","handle":"student","kind":"hosted","lifecycle":"active","maturity":"student","name":"Student"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:37.034893Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-2745-7040-800c-ed846021cf33","name":"Ada"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:37.034893Z"}',X'3C9855D510646D5619BC905D600C9E2EEB3E3D938F8579605E14DC21AE2ADCCD',X'8E32070B833B83EB4649EFDC2A2B6C26ABE0DF9FC13839AF3D3CE0EE38241351',0,0,0,'agent_changed','{"id":"01a205e2-276a-7040-800a-df0910f69887","handle":"student","maturity":"student","lifecycle":"active","revision":1}','agent:01a205e2-276a-7040-800a-df0910f69887 workspace:01a205e2-2732-7000-801d-6d8f625aa587',NULL,0,0);
INSERT INTO "log" VALUES(10,1795395037038956,1,456252691794886656,456252691834765312,456252691912359936,0,0,'chat',3,'{"action":"chat","agent_id":"01a205e2-276a-7040-800a-df0910f69887","agent_name":"Student","change":null,"code":"governance_blocked","decision":{"action":"chat","action_complexity":2,"agent_maturity":"student","allowed":false,"confidence":0.5,"proceed":false,"reason":"Agent \"Student\" (student) is blocked from \"chat\": it needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"maturity:chat:2","status_code":"maturity"},"duration_ms":1,"end":"2026-11-23T00:50:37.038894Z","error_message":"Agent \"Student\" (student) is blocked from \"chat\": it needs intern or above.","execution_id":null,"outcome":"failed","principal":{"id":"01a205e2-2745-7040-800c-ed846021cf33","name":"Ada"},"rule_id":"maturity:chat:2","session_id":null,"start":"2026-11-23T00:50:37.038874Z"}',X'913C967DA019BD30228C988519F66853887EAAFDFFF45D1B840E63735A503D4E',X'7C18772C4525C3D49179D4C7AC591AB802A3CAB6B7FB700D2BB57B4ACED530AB',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(11,1795395037049674,5,456252691794886656,456252691794886658,456252691912359936,0,0,'configure',7,'{"action":"configure","agent_id":"01a205e2-276a-7040-800a-df0910f69887","agent_name":"Student","change":{"new":{"lifecycle":"paused"},"old":{"lifecycle":"active"}},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:37.049596Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-2732-7000-8051-d28b650b46ce","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:37.049596Z"}',X'98E6F35457896A7861ADBE9BB1C6FADB9ADE6148C64B76D7E04CC3EA4E4985C3',X'FCD5A7C570EB5CAD28358C1CD98589A8CD58BACEC240492E161C321252A80EB6',0,0,0,'agent_changed','{"id":"01a205e2-276a-7040-800a-df0910f69887","handle":"student","maturity":"student","lifecycle":"paused","revision":2}','agent:01a205e2-276a-7040-800a-df0910f69887 workspace:01a205e2-2732-7000-801d-6d8f625aa587',NULL,0,0);
INSERT INTO "log" VALUES(12,1795395037052119,5,456252691794886656,456252691834765312,0,0,0,'post',7,'{"action":"post","agent_id":null,"agent_name":null,"change":{"post_id":"01a205e2-277c-7fc0-8003-b247f2b6385e","redacted":[],"type":"status","visibility":"public"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:37.052083Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-2745-7040-800c-ed846021cf33","name":"Ada"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:37.052083Z"}',X'55865EF082D409C74F0380BFAF74DB964FE139303569B9A1A55AB66058F29F83',X'6D83040E49F112F487605D52CECCA1D30DDA7E7789690AA2411AE81CF9C18CB8',0,0,0,'agent_post','{"id":"01a205e2-277c-7fc0-8003-b247f2b6385e","author":{"kind":"human","id":"01a205e2-2745-7040-800c-ed846021cf33","name":"Ada","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"status","content":"about #upgrades, @chat-assistant","visibility":"public","channel_id":null,"reply_to":null,"mentions":[{"kind":"agent","id":"01a205e2-2734-7000-8002-b0ed97005a4a","text":"@chat-assistant"}],"hashtags":["#upgrades"],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:50:37.052119Z"}','global',NULL,0,0);
INSERT INTO "log" VALUES(13,1795395037065754,5,456252691794886656,456252691794886658,0,0,0,'reply',7,'{"action":"reply","agent_id":null,"agent_name":null,"change":{"post_id":"01a205e2-2789-7fc0-801f-58df575029ca","redacted":[],"reply_to":"01a205e2-277c-7fc0-8003-b247f2b6385e","type":"status","visibility":"public"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:37.065694Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-2732-7000-8051-d28b650b46ce","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:37.065694Z"}',X'69D7B6636B73A92A98C5A5A50B1C117CDDCF24269FD07B55B9C4CB33DB23FDDF',X'AF98B033E789FAB861FE300E9D9D65635877100EA674BB1025AA2F155E1341AD',0,0,0,'reply_added','{"id":"01a205e2-2789-7fc0-801f-58df575029ca","author":{"kind":"human","id":"01a205e2-2732-7000-8051-d28b650b46ce","name":"operator","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"response","content":"a reply","visibility":"public","channel_id":null,"reply_to":"01a205e2-277c-7fc0-8003-b247f2b6385e","mentions":[],"hashtags":[],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:50:37.065754Z"}','post:01a205e2-277c-7fc0-8003-b247f2b6385e global',NULL,0,0);
INSERT INTO "log" VALUES(14,1795395037073699,5,456252691794886656,456252691794886658,0,0,0,'react',7,'{"action":"react","agent_id":null,"agent_name":null,"change":{"new":{"emoji":"👍","post_id":"01a205e2-277c-7fc0-8003-b247f2b6385e"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:37.073628Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-2732-7000-8051-d28b650b46ce","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:37.073628Z"}',X'0315C373E5A95452B3BB1C7120778518D74606E7913B55C5FC41E4E1E4080D8E',X'DA8363D6E1450FD0DC04A129D15E472E9C7777F2AB93229184DFF42C6DFAA886',0,0,0,'reaction_added','{"post_id":"01a205e2-277c-7fc0-8003-b247f2b6385e","emoji":"👍","actor":{"kind":"human","id":"01a205e2-2732-7000-8051-d28b650b46ce","name":"operator"},"count":1}','post:01a205e2-277c-7fc0-8003-b247f2b6385e global',NULL,0,0);
INSERT INTO "log" VALUES(15,1795395037077635,5,456252691794886656,456252691834765312,0,0,0,'channel_create',7,'{"action":"channel_create","agent_id":null,"agent_name":null,"change":{"new":{"channel_id":"01a205e2-2795-7000-8005-d792a69e56d5","name":"room","private":false},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:37.077565Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-2745-7040-800c-ed846021cf33","name":"Ada"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:37.077565Z"}',X'528F97393B78919DB3AE0C24C59AA9784EA293409C7B8B8B4BF11C03336D3096',X'55F95424EDBA0A66F6CB6191D1F822BBEEF6AC87FD7E7BC3659281BE2F35E218',0,0,0,'channel_created','{"id":"01a205e2-2795-7000-8005-d792a69e56d5","name":"room","display_name":"room","description":"","type":"general","private":false,"created_by":"01a205e2-2745-7040-800c-ed846021cf33","member_count":1,"created_at":"2026-11-23T00:50:37.077635Z","revision":1}','channel:01a205e2-2795-7000-8005-d792a69e56d5 global',NULL,0,0);
INSERT INTO "log" VALUES(16,1795395037083186,5,456252691794886656,456252691794886658,0,0,0,'direct_message',7,'{"action":"direct_message","agent_id":null,"agent_name":null,"change":{"new":{"message_id":"01a205e2-279b-7fc0-8019-a3abeb51e325","to_id":"01a205e2-2745-7040-800c-ed846021cf33","type":"note"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:50:37.083129Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-2732-7000-8051-d28b650b46ce","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:50:37.083129Z"}',X'59094F3AE6D112E42B238F94B9F8213F1E4D0C4E93C7009A6D9D325D9D50B3A0',X'AB507AAE017F114844711313837FF5ECCCDEF8F9DDD630235D4461FAEA716ED5',0,0,0,'direct_message','{"id":"01a205e2-279b-7fc0-8019-a3abeb51e325","from":{"kind":"human","id":"01a205e2-2732-7000-8051-d28b650b46ce","name":"operator"},"to":{"kind":"human","id":"01a205e2-2745-7040-800c-ed846021cf33","name":"Ada"},"type":"note","content":"psst","created_at":"2026-11-23T00:50:37.083186Z","delivered_at":null,"read_at":null}','user:01a205e2-2732-7000-8051-d28b650b46ce user:01a205e2-2745-7040-800c-ed846021cf33',NULL,456252691794886658,456252691834765312);
CREATE TABLE meta (
	name TEXT NOT NULL PRIMARY KEY,
	value BLOB NOT NULL
)  STRICT;
INSERT INTO "meta" VALUES('id_secret',X'731221A8A125F1190A50F4C7A6C2CBDB');
INSERT INTO "meta" VALUES('epoch',X'6C60CBB4F13844F0');
INSERT INTO "meta" VALUES('key_check',X'4B74B9FF5C700B81B960F92B3918627C9F122DF9759647A605CC52445A3470A6');
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
INSERT INTO "post" VALUES(456252691952140288,456252691794886656,456252691834765312,1,0,1,1,1,456252691794886656,0,0,'about #upgrades, @chat-assistant','[{"kind":"agent","id":"01a205e2-2734-7000-8002-b0ed97005a4a","text":"@chat-assistant"}]','#upgrades','[]',0,1,1,1795395037052119,NULL);
INSERT INTO "post" VALUES(456252691979403264,456252691794886656,456252691794886658,1,0,1,7,1,456252691794886656,456252691952140288,0,'a reply','[]','','[]',0,0,0,1795395037065754,NULL);
CREATE TABLE post_tag (
	workspace INTEGER NOT NULL,
	tag TEXT NOT NULL,
	post INTEGER NOT NULL,
	PRIMARY KEY (workspace, tag, post)
)  STRICT, WITHOUT ROWID;
INSERT INTO "post_tag" VALUES(456252691794886656,'#upgrades',456252691952140288);
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
INSERT INTO "principal" VALUES(456252691794886657,456252691794886656,3,3,'system',NULL,NULL,'[]',NULL,1795395036979579);
INSERT INTO "principal" VALUES(456252691794886658,456252691794886656,1,4,'operator',NULL,NULL,'[]',NULL,1795395036979579);
INSERT INTO "principal" VALUES(456252691834765312,456252691794886656,1,2,'Ada',NULL,NULL,'[]',NULL,1795395036997737);
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
INSERT INTO "reaction" VALUES(456252691952140288,'👍',456252691794886658,1);
CREATE TABLE reaction_sum (
	post INTEGER NOT NULL,
	emoji TEXT NOT NULL,
	actors INTEGER NOT NULL,
	PRIMARY KEY (post, emoji)
)  STRICT, WITHOUT ROWID;
INSERT INTO "reaction_sum" VALUES(456252691952140288,'👍',1);
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
INSERT INTO "session" VALUES(456252691868319745,456252691794886656,456252691794886658,456252691799080960,'hello','chat',4,0,1795395037013206,1795395037026451,4);
CREATE TABLE token (
	id INTEGER NOT NULL PRIMARY KEY,
	principal INTEGER NOT NULL REFERENCES principal (id),
	hash BLOB NOT NULL,
	label TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER,
	revoked_at INTEGER
)  STRICT;
INSERT INTO "token" VALUES(456252691794886659,456252691794886658,X'FD9DED54C33B0175DD0F16D5FF4F3A99192E5881210E39754E876E5FE2825CBF','first operator token',1795395036979579,NULL,NULL);
INSERT INTO "token" VALUES(456252691864125440,456252691834765312,X'7AF588E7FB2CEE0D1F72F56CAD469FCBD5DF01AB14D43440988394DF24F80CF0','laptop',1795395037011463,NULL,NULL);
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
INSERT INTO "trend" VALUES(456252691794886656,498720,'#upgrades',1);
INSERT INTO "trend" VALUES(456252691794886656,498720,'@chat-assistant',1);
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
INSERT INTO "turn" VALUES(456252691868319744,456252691868319745,456252691794886656,456252691799080960,'Chat Assistant',456252691794886658,3,'chat',4,'hello','Hello, and welcome to Guild. I should say at once that I am Guild''s builtin responder: a set of rules, not a language model.',1,0,0,X'0704080307020704030505020308080B0204030704020906',1795395037013206,1795395037023322,10,NULL,NULL,'builtin','builtin',0,38,1,0,0,1,26,0,'stop','["system_default"]','{"source":"api","resolution_context":{"resolution_path":["system_default"],"requested_agent":null},"governance_check":{"allowed":true,"requires_human_approval":false,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","agent_maturity":"intern","action_complexity":2,"required_maturity":"intern","confidence":0.6,"rule_id":"ok:chat:2","status_code":"ok","action":"chat"},"request_id":"d6a3af67b55e14f66adafd8dd6adb195"}');
INSERT INTO "turn" VALUES(456252691893452800,456252691868319745,456252691794886656,456252691799080960,'Chat Assistant',456252691794886658,3,'chat',4,'and on','Tell me more about that.',1,0,0,X'0503050605',1795395037025868,1795395037026451,1,NULL,NULL,'builtin','builtin',0,9,1,0,0,1,7,0,'stop','["session_agent"]','{"source":"api","resolution_context":{"resolution_path":["session_agent"],"requested_agent":null},"governance_check":{"allowed":true,"requires_human_approval":false,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","agent_maturity":"intern","action_complexity":2,"required_maturity":"intern","confidence":0.61,"rule_id":"ok:chat:2","status_code":"ok","action":"chat"},"request_id":"2897c78f0e7668d2228e77cc8dbbf329"}');
CREATE TABLE workspace (
	id INTEGER NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	default_agent INTEGER,
	created_at INTEGER NOT NULL
)  STRICT;
INSERT INTO "workspace" VALUES(456252691794886656,'default',NULL,1795395036979579);
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
