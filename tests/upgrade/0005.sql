-- A store of schema 5 as its program left it: an operator, a user, a paused student, a conversation of four messages, a refusal, posts, a channel, a message, a key, an open approval.
-- token: guild_5xGeYrlepIW05c5FyzSR84DdZimzFB36vw3a3M9diHM
-- session: 01a205e2-9bc2-7000-803c-5e76f0362f78
-- agent: 01a205e2-9bce-7040-801b-72be3aedddb0
-- guild.key: 396365393237356466336237333161333131336630626663363632656433643066373532626564666163666335343034663137633937313761313438633038340a
PRAGMA page_size=4096;
PRAGMA application_id=1196772420;
PRAGMA user_version=5;
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
INSERT INTO "agent" VALUES(456252754155798528,456252754092883968,'Chat Assistant','chat-assistant','Answers when no other agent was asked.','system',2,1,6200,1,NULL,NULL,'[]','You are a helpful assistant. Answer clearly and briefly.',NULL,0,0,1,NULL,1795395066714257,1795395066714257,1);
INSERT INTO "agent" VALUES(456252754399100928,456252754092883968,'Student','student','','general',1,2,5000,1,NULL,NULL,'[]',NULL,NULL,0,0,0,456252754294210560,1795395066830327,1795395066832627,2);
INSERT INTO "agent" VALUES(456252754422169600,456252754092883968,'Mail','mail','','general',3,1,8000,1,NULL,NULL,'[]',NULL,NULL,0,0,0,456252754092883970,1795395066841784,1795395066841784,1);
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
INSERT INTO "approval" VALUES(456252754441011200,456252754092883968,456252754422169600,456252754092883970,'send_email','{"to":"x"}',X'59672D2948AECAFC11F8C37637082EE2A14AC660059CC89477127C20F3B55909',X'6BA37F09622F45C16E3F3C524BDC164A6ED309B4EE422BF16835ACDD3296D36D',1,'Agent "Mail" (supervised) may do "send_email" once a human approved it; it needs supervised or above.',2,1,1795395066850627,1795481466850627,NULL,NULL,NULL,NULL);
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
INSERT INTO "channel" VALUES(456252754411651072,456252754092883968,'room','room','',1,0,456252754294210560,1,1,1795395066836819,1);
CREATE TABLE channel_member (
	channel INTEGER NOT NULL,
	actor INTEGER NOT NULL,
	actor_kind INTEGER NOT NULL CHECK (actor_kind BETWEEN 1 AND 3),
	joined_at INTEGER NOT NULL,
	PRIMARY KEY (channel, actor)
)  STRICT, WITHOUT ROWID;
INSERT INTO "channel_member" VALUES(456252754411651072,456252754294210560,1,1795395066836819);
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
INSERT INTO "direct_message" VALUES(456252754415812608,456252754092883968,456252754092883970,1,456252754294210560,1,4,'psst','[]',0,1795395066837817,NULL,NULL,0,0);
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
INSERT INTO "idempotency" VALUES(X'2335973DD4E4517492106E73CA7C1109',X'A0294F4963FD4EB8FF22AF640461C990',456252754092883970,1795395066838831,8006817804734487811,0,17,201,'{"id":"01a205e2-9bd6-7fc0-8012-bbb4f082a36e","author":{"kind":"human","id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"status","content":"once","visibility":"public","channel_id":null,"reply_to":null,"mentions":[],"hashtags":[],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:51:06.838831Z"}');
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
INSERT INTO "log" VALUES(1,1795395066709671,1,456252754092883968,0,0,0,0,'configure',7,'{"action":"configure","agent_id":null,"agent_name":null,"change":{"new":{"principal_id":"01a205e2-9b3c-7000-8048-6871403ac387","role":"operator","token_id":"01a205e2-9b3c-7000-8061-20b079b5c8e1","workspace":"default"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:06.684602Z","error_message":null,"execution_id":null,"outcome":"changed","principal":null,"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:06.684602Z"}',X'E8D673C51BFAA48B3AA312E3F7834E7A001F983D3748D60CB8A851BA81063DF2',X'12EB3E9F68B2979826898C9B511BB7D46F912FC551A5EF199D6FBE8ACAAB041F',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(2,1795395066714257,5,456252754092883968,0,456252754155798528,0,0,'create',7,'{"action":"create","agent_id":"01a205e2-9b5a-7000-8003-19564379fa0d","agent_name":"Chat Assistant","change":{"new":{"capabilities":"[]","category":"system","description":"Answers when no other agent was asked.","handle":"chat-assistant","kind":"hosted","lifecycle":"active","maturity":"intern","name":"Chat Assistant","system_prompt_sha256":"6fad46c7d396257971e97882b523ce4fa7c514d0e56478f86fc6a1fbd7f2e6ef"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:06.714149Z","error_message":null,"execution_id":null,"outcome":"changed","principal":null,"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:06.714149Z"}',X'A0795DB5BE2D9DF0B7003336A8AED98AFFCA312FE700734A1A257FEC66DCBBCD',X'B76431A73E69EBC81541A31E037A89FB67D9987F6374D6D616D8D4973E3A6FCF',0,0,0,'agent_changed','{"id":"01a205e2-9b5a-7000-8003-19564379fa0d","handle":"chat-assistant","maturity":"intern","lifecycle":"active","revision":1}','agent:01a205e2-9b5a-7000-8003-19564379fa0d workspace:01a205e2-9b3c-7000-8014-84a9049eb753',NULL,0,0);
INSERT INTO "log" VALUES(3,1795395066780969,1,456252754092883968,456252754092883970,0,0,0,'create',7,'{"action":"create","agent_id":null,"agent_name":null,"change":{"new":{"disabled":false,"name":"Ada","role":"member"},"old":null,"principal_id":"01a205e2-9b9c-7000-8011-e9f1a3395d4b"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:06.780892Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:06.780892Z"}',X'65F2D6D6D5A602318BB5DD97497C48894B4615D231930FFA5FF2F31812F2AF85',X'64F9CFE797251C7443CD33767C914D0ABFC62432348ABCE7F3706B1763C7B451',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(4,1795395066793586,1,456252754092883968,456252754092883970,0,0,0,'grant',7,'{"action":"grant","agent_id":null,"agent_name":null,"change":{"new":{"principal_id":"01a205e2-9b9c-7000-8011-e9f1a3395d4b","token_id":"01a205e2-9ba9-7000-800b-d3a3db11d541"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:06.793536Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:06.793536Z"}',X'284B8A181D0AFFB0808236FBEBBED415C93A6DAFC608A7075BECA06D949747F5',X'1D8E360C488B2EC2A12CEE147560D9B6BD187C257C4C7DB160A0C15954A04B1F',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(5,1795395066818729,7,456252754092883968,456252754092883970,456252754155798528,456252754373902336,456252754373902337,'chat',1,'{"action":"chat","agent_id":"01a205e2-9b5a-7000-8003-19564379fa0d","agent_name":"Chat Assistant","change":null,"code":null,"decision":{"action":"chat","action_complexity":2,"agent_maturity":"intern","allowed":true,"confidence":0.6,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"ok:chat:2","status_code":"ok"},"duration_ms":null,"end":null,"error_message":null,"execution_id":"01a205e2-9bc2-7000-8017-7eba26332a59","outcome":"started","principal":{"id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"rule_id":"ok:chat:2","session_id":"01a205e2-9bc2-7000-803c-5e76f0362f78","start":"2026-11-23T00:51:06.818626Z"}',X'2148131EA223B7F7706F32EFBEE6E3B7D1C6D758B35845D892FCEBC5AE27AB67',X'276B44AA21AC233F0B5A408479F9F2836BF029C58EF77E14BCB0E231691EFD68',0,0,0,'execution_started','{"execution_id":"01a205e2-9bc2-7000-8017-7eba26332a59","agent_id":"01a205e2-9b5a-7000-8003-19564379fa0d","session_id":"01a205e2-9bc2-7000-803c-5e76f0362f78","user_id":"01a205e2-9b3c-7000-8048-6871403ac387","action":"chat"}','execution:01a205e2-9bc2-7000-8017-7eba26332a59 agent:01a205e2-9b5a-7000-8003-19564379fa0d',NULL,0,0);
INSERT INTO "log" VALUES(6,1795395066821513,15,456252754092883968,456252754092883970,456252754155798528,456252754373902336,456252754373902337,'chat',2,'{"action":"chat","agent_id":"01a205e2-9b5a-7000-8003-19564379fa0d","agent_name":"Chat Assistant","change":null,"code":null,"decision":null,"duration_ms":2,"end":"2026-11-23T00:51:06.821486Z","error_message":null,"execution_id":"01a205e2-9bc2-7000-8017-7eba26332a59","outcome":"completed","principal":{"id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"rule_id":null,"session_id":"01a205e2-9bc2-7000-803c-5e76f0362f78","start":"2026-11-23T00:51:06.818626Z"}',X'ECDB910431BE5481EA7E7E398DBAEA26B570D3205F680B071FC1FEEA8838923D',X'C1DAB60B25103B59448D3A1DF13CDCCE4AC81D6E485144C245C1B5C23262547D',0,0,0,'execution_ended','{"execution_id":"01a205e2-9bc2-7000-8017-7eba26332a59","agent_id":"01a205e2-9b5a-7000-8003-19564379fa0d","status":"completed","duration_ms":2}','execution:01a205e2-9bc2-7000-8017-7eba26332a59 agent:01a205e2-9b5a-7000-8003-19564379fa0d','episode',0,0);
INSERT INTO "log" VALUES(7,1795395066826914,7,456252754092883968,456252754092883970,456252754155798528,456252754390712320,456252754373902337,'chat',1,'{"action":"chat","agent_id":"01a205e2-9b5a-7000-8003-19564379fa0d","agent_name":"Chat Assistant","change":null,"code":null,"decision":{"action":"chat","action_complexity":2,"agent_maturity":"intern","allowed":true,"confidence":0.61,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"ok:chat:2","status_code":"ok"},"duration_ms":null,"end":null,"error_message":null,"execution_id":"01a205e2-9bca-7040-8013-8a761af5ee1a","outcome":"started","principal":{"id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"rule_id":"ok:chat:2","session_id":"01a205e2-9bc2-7000-803c-5e76f0362f78","start":"2026-11-23T00:51:06.826525Z"}',X'69D30BF3EFB01056BC9F24A9724C844C0E1412BB60E6FFCBB7942258ED409444',X'0C01EF418737676F38E06A7D3B659730B2ADDBBE8A23846A5D0CC31B12EBD2A9',0,0,0,'execution_started','{"execution_id":"01a205e2-9bca-7040-8013-8a761af5ee1a","agent_id":"01a205e2-9b5a-7000-8003-19564379fa0d","session_id":"01a205e2-9bc2-7000-803c-5e76f0362f78","user_id":"01a205e2-9b3c-7000-8048-6871403ac387","action":"chat"}','execution:01a205e2-9bca-7040-8013-8a761af5ee1a agent:01a205e2-9b5a-7000-8003-19564379fa0d',NULL,0,0);
INSERT INTO "log" VALUES(8,1795395066827491,15,456252754092883968,456252754092883970,456252754155798528,456252754390712320,456252754373902337,'chat',2,'{"action":"chat","agent_id":"01a205e2-9b5a-7000-8003-19564379fa0d","agent_name":"Chat Assistant","change":null,"code":null,"decision":null,"duration_ms":1,"end":"2026-11-23T00:51:06.827471Z","error_message":null,"execution_id":"01a205e2-9bca-7040-8013-8a761af5ee1a","outcome":"completed","principal":{"id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"rule_id":null,"session_id":"01a205e2-9bc2-7000-803c-5e76f0362f78","start":"2026-11-23T00:51:06.826525Z"}',X'C8137628E8D371DAE23EFFCCCE7C8B42CEBA078B1A51E1D4ACCE21C1C9DCBF5C',X'E966433983CDAA7B7055E2FC83873C688D52E7697BE6359A06222BB3504EC41B',0,0,0,'execution_ended','{"execution_id":"01a205e2-9bca-7040-8013-8a761af5ee1a","agent_id":"01a205e2-9b5a-7000-8003-19564379fa0d","status":"completed","duration_ms":1}','execution:01a205e2-9bca-7040-8013-8a761af5ee1a agent:01a205e2-9b5a-7000-8003-19564379fa0d','episode',0,0);
INSERT INTO "log" VALUES(9,1795395066830327,5,456252754092883968,456252754294210560,456252754399100928,0,0,'create',7,'{"action":"create","agent_id":"01a205e2-9bce-7040-801b-72be3aedddb0","agent_name":"Student","change":{"new":{"capabilities":"[]","category":"general","description":"","handle":"student","kind":"hosted","lifecycle":"active","maturity":"student","name":"Student"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:06.830253Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-9b9c-7000-8011-e9f1a3395d4b","name":"Ada"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:06.830253Z"}',X'B4CE97C5623C95A8AA9F8DCD7DBA44527DCEB6CD8025A83887DF1F4CCBA5142B',X'C60846B0877DFFAE319549C84C487790E658332525DC4220432BC5345396B5A8',0,0,0,'agent_changed','{"id":"01a205e2-9bce-7040-801b-72be3aedddb0","handle":"student","maturity":"student","lifecycle":"active","revision":1}','agent:01a205e2-9bce-7040-801b-72be3aedddb0 workspace:01a205e2-9b3c-7000-8014-84a9049eb753',NULL,0,0);
INSERT INTO "log" VALUES(10,1795395066831632,1,456252754092883968,456252754294210560,456252754399100928,0,0,'chat',3,'{"action":"chat","agent_id":"01a205e2-9bce-7040-801b-72be3aedddb0","agent_name":"Student","change":null,"code":"governance_blocked","decision":{"action":"chat","action_complexity":2,"agent_maturity":"student","allowed":false,"confidence":0.5,"proceed":false,"reason":"Agent \"Student\" (student) is blocked from \"chat\": it needs intern or above.","required_maturity":"intern","requires_human_approval":false,"rule_id":"maturity:chat:2","status_code":"maturity"},"duration_ms":1,"end":"2026-11-23T00:51:06.831563Z","error_message":"Agent \"Student\" (student) is blocked from \"chat\": it needs intern or above.","execution_id":null,"outcome":"failed","principal":{"id":"01a205e2-9b9c-7000-8011-e9f1a3395d4b","name":"Ada"},"rule_id":"maturity:chat:2","session_id":null,"start":"2026-11-23T00:51:06.831547Z"}',X'3997A8357E58B45B7E379D9DF784A5A1641B919EF894A3D2E60369897C2B03C5',X'F3F6517FF4F80939DA9B1FBA22D396DEBECE37E2535004C4804BDC2E98D531C3',0,0,0,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "log" VALUES(11,1795395066832627,5,456252754092883968,456252754092883970,456252754399100928,0,0,'configure',7,'{"action":"configure","agent_id":"01a205e2-9bce-7040-801b-72be3aedddb0","agent_name":"Student","change":{"new":{"lifecycle":"paused"},"old":{"lifecycle":"active"}},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:06.832605Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:06.832605Z"}',X'CC0507B658451191B39866BFF3B7630C32B5DE1A032908BBD082F5FC70C81163',X'5CBED61D577483E1FBCDF6C6BDBC581557C8C50F06B40C9CAFBDD3C159C0DB92',0,0,0,'agent_changed','{"id":"01a205e2-9bce-7040-801b-72be3aedddb0","handle":"student","maturity":"student","lifecycle":"paused","revision":2}','agent:01a205e2-9bce-7040-801b-72be3aedddb0 workspace:01a205e2-9b3c-7000-8014-84a9049eb753',NULL,0,0);
INSERT INTO "log" VALUES(12,1795395066833743,5,456252754092883968,456252754294210560,0,0,0,'post',7,'{"action":"post","agent_id":null,"agent_name":null,"change":{"post_id":"01a205e2-9bd1-7fc0-8002-6834617fd9c4","redacted":[],"type":"status","visibility":"public"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:06.833721Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-9b9c-7000-8011-e9f1a3395d4b","name":"Ada"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:06.833721Z"}',X'C12E23BCA9079EFEC4C3711459B45E550F90D9FD4E507164B27046CBF57CCD70',X'359D857BB9386A47054FA6C61129B9641DAD894BE3A7B836982E01B908F941E7',0,0,0,'agent_post','{"id":"01a205e2-9bd1-7fc0-8002-6834617fd9c4","author":{"kind":"human","id":"01a205e2-9b9c-7000-8011-e9f1a3395d4b","name":"Ada","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"status","content":"about #upgrades, @chat-assistant","visibility":"public","channel_id":null,"reply_to":null,"mentions":[{"kind":"agent","id":"01a205e2-9b5a-7000-8003-19564379fa0d","text":"@chat-assistant"}],"hashtags":["#upgrades"],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:51:06.833743Z"}','global',NULL,0,0);
INSERT INTO "log" VALUES(13,1795395066834948,5,456252754092883968,456252754092883970,0,0,0,'reply',7,'{"action":"reply","agent_id":null,"agent_name":null,"change":{"post_id":"01a205e2-9bd2-7fc0-8010-0ac0ca86ac86","redacted":[],"reply_to":"01a205e2-9bd1-7fc0-8002-6834617fd9c4","type":"status","visibility":"public"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:06.834932Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:06.834932Z"}',X'30830ACE2E08799009823CF81702FE7DD74FCF22B2CA93B69632F741F0EC2426',X'7DCCFD66AE4D0E4B21D8FAD2D9B33CBD6620DF864D0E07853E57457D5A609CB3',0,0,0,'reply_added','{"id":"01a205e2-9bd2-7fc0-8010-0ac0ca86ac86","author":{"kind":"human","id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"response","content":"a reply","visibility":"public","channel_id":null,"reply_to":"01a205e2-9bd1-7fc0-8002-6834617fd9c4","mentions":[],"hashtags":[],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:51:06.834948Z"}','post:01a205e2-9bd1-7fc0-8002-6834617fd9c4 global',NULL,0,0);
INSERT INTO "log" VALUES(14,1795395066835795,5,456252754092883968,456252754092883970,0,0,0,'react',7,'{"action":"react","agent_id":null,"agent_name":null,"change":{"new":{"emoji":"👍","post_id":"01a205e2-9bd1-7fc0-8002-6834617fd9c4"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:06.835754Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:06.835754Z"}',X'D47559434795D4AE3C5716850C8B3470B872546E76A55D311CFA5B6A7D300F96',X'BC187E1642CA782F934A179120D04BC78D7B6FA068EC5E6A2787C6632953DE3C',0,0,0,'reaction_added','{"post_id":"01a205e2-9bd1-7fc0-8002-6834617fd9c4","emoji":"👍","actor":{"kind":"human","id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"count":1}','post:01a205e2-9bd1-7fc0-8002-6834617fd9c4 global',NULL,0,0);
INSERT INTO "log" VALUES(15,1795395066836819,5,456252754092883968,456252754294210560,0,0,0,'channel_create',7,'{"action":"channel_create","agent_id":null,"agent_name":null,"change":{"new":{"channel_id":"01a205e2-9bd4-7000-8010-f57abce37174","name":"room","private":false},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:06.836798Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-9b9c-7000-8011-e9f1a3395d4b","name":"Ada"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:06.836798Z"}',X'141EEB34840229FEF64F0D9CC13852595B32CFD4B3DAA05C6E4FDB697DE107E5',X'5E1D45100196BF204F6CA3BD23F9CFFE4E9816477A47815CFDBB142EA4052452',0,0,0,'channel_created','{"id":"01a205e2-9bd4-7000-8010-f57abce37174","name":"room","display_name":"room","description":"","type":"general","private":false,"created_by":"01a205e2-9b9c-7000-8011-e9f1a3395d4b","member_count":1,"created_at":"2026-11-23T00:51:06.836819Z","revision":1}','channel:01a205e2-9bd4-7000-8010-f57abce37174 global',NULL,0,0);
INSERT INTO "log" VALUES(16,1795395066837817,5,456252754092883968,456252754092883970,0,0,0,'direct_message',7,'{"action":"direct_message","agent_id":null,"agent_name":null,"change":{"new":{"message_id":"01a205e2-9bd5-7fc0-801c-a5aed672da1e","to_id":"01a205e2-9b9c-7000-8011-e9f1a3395d4b","type":"note"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:06.837768Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:06.837768Z"}',X'6FC0D5BD32FAC3D8CD70B960D5565DCEB11F47CC79F4F42617F20C9240F4CF20',X'A3DF74E1FCABE29722998678CA0A67A17D1E8214C28FC02A1E1CA1CF33A87324',0,0,0,'direct_message','{"id":"01a205e2-9bd5-7fc0-801c-a5aed672da1e","from":{"kind":"human","id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"to":{"kind":"human","id":"01a205e2-9b9c-7000-8011-e9f1a3395d4b","name":"Ada"},"type":"note","content":"psst","created_at":"2026-11-23T00:51:06.837817Z","delivered_at":null,"read_at":null}','user:01a205e2-9b3c-7000-8048-6871403ac387 user:01a205e2-9b9c-7000-8011-e9f1a3395d4b',NULL,456252754092883970,456252754294210560);
INSERT INTO "log" VALUES(17,1795395066838831,5,456252754092883968,456252754092883970,0,0,0,'post',7,'{"action":"post","agent_id":null,"agent_name":null,"change":{"post_id":"01a205e2-9bd6-7fc0-8012-bbb4f082a36e","redacted":[],"type":"status","visibility":"public"},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:06.838804Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:06.838804Z"}',X'FAE7F6E249A0725E75425803606726BCF8550ECC39303A669A09A0076CC6D6E1',X'4E07D4D3803BE03EC8C0D25740E35857D6F31E40842277D10A7FF96AAFD8080D',0,0,0,'agent_post','{"id":"01a205e2-9bd6-7fc0-8012-bbb4f082a36e","author":{"kind":"human","id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator","handle":null,"maturity":null,"category":null},"type":"status","requested_type":"status","content":"once","visibility":"public","channel_id":null,"reply_to":null,"mentions":[],"hashtags":[],"reactions":[],"reply_count":0,"auto_generated":false,"redacted":[],"created_at":"2026-11-23T00:51:06.838831Z"}','global',NULL,0,0);
INSERT INTO "log" VALUES(18,1795395066841784,5,456252754092883968,456252754092883970,456252754422169600,0,0,'create',7,'{"action":"create","agent_id":"01a205e2-9bd9-7040-801d-523806ae44a3","agent_name":"Mail","change":{"new":{"capabilities":"[]","category":"general","description":"","handle":"mail","kind":"hosted","lifecycle":"active","maturity":"supervised","name":"Mail"},"old":null},"code":null,"decision":null,"duration_ms":null,"end":"2026-11-23T00:51:06.841732Z","error_message":null,"execution_id":null,"outcome":"changed","principal":{"id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"rule_id":null,"session_id":null,"start":"2026-11-23T00:51:06.841732Z"}',X'79DF259D4538975CD35E893967447015F70996C1A76A8FE6A7AE8CF08D105D71',X'6FB625DF20C35FC57219ACAAC31E48F325848CAF9FC56240CB06EDB177C41632',0,0,0,'agent_changed','{"id":"01a205e2-9bd9-7040-801d-523806ae44a3","handle":"mail","maturity":"supervised","lifecycle":"active","revision":1}','agent:01a205e2-9bd9-7040-801d-523806ae44a3 workspace:01a205e2-9b3c-7000-8014-84a9049eb753',NULL,0,0);
INSERT INTO "log" VALUES(19,1795395066850627,5,456252754092883968,456252754092883970,456252754422169600,0,0,'send_email',3,'{"action":"send_email","agent_id":"01a205e2-9bd9-7040-801d-523806ae44a3","agent_name":"Mail","change":{"approval_id":"01a205e2-9be2-7000-800b-c89a49c4daed","arguments_sha256":"59672d2948aecafc11f8c37637082ee2a14ac660059cc89477127c20f3b55909"},"code":"approval_required","decision":{"action":"send_email","action_complexity":3,"agent_maturity":"supervised","allowed":true,"confidence":0.8,"proceed":false,"reason":"Agent \"Mail\" (supervised) may do \"send_email\" once a human approved it; it needs supervised or above.","required_maturity":"supervised","requires_human_approval":true,"rule_id":"approval_required:send_email:3","status_code":"approval_required"},"duration_ms":1,"end":"2026-11-23T00:51:06.850627Z","error_message":"Agent \"Mail\" (supervised) may do \"send_email\" once a human approved it; it needs supervised or above.","execution_id":null,"outcome":"failed","principal":{"id":"01a205e2-9b3c-7000-8048-6871403ac387","name":"operator"},"rule_id":"approval_required:send_email:3","session_id":null,"start":"2026-11-23T00:51:06.850627Z"}',X'92FD5E191854B8549B13DB2BC53499DDA6F24C9838144DE1EFC6682B53029DC5',X'E3CAB2B84C3AF0650FFD438E0C3ED905CA561CB7A700DEAB632F1FB8FCDB861A',0,0,0,'approval_requested','{"id":"01a205e2-9be2-7000-800b-c89a49c4daed","agent_id":"01a205e2-9bd9-7040-801d-523806ae44a3","action":"send_email","arguments_sha256":"59672d2948aecafc11f8c37637082ee2a14ac660059cc89477127c20f3b55909","priority":"medium","status":"pending","expires_at":"2026-11-24T00:51:06.850627Z","decided_by":null}','workspace:01a205e2-9b3c-7000-8014-84a9049eb753 agent:01a205e2-9bd9-7040-801d-523806ae44a3 approval:01a205e2-9be2-7000-800b-c89a49c4daed',NULL,456252754422169600,456252754092883970);
CREATE TABLE meta (
	name TEXT NOT NULL PRIMARY KEY,
	value BLOB NOT NULL
)  STRICT;
INSERT INTO "meta" VALUES('id_secret',X'C4B57C6E4FE95564D5249344EC225F26');
INSERT INTO "meta" VALUES('epoch',X'F906785FDFF80800');
INSERT INTO "meta" VALUES('generation',X'0100000000000000');
INSERT INTO "meta" VALUES('key_check',X'8DA2B61817AC741D92FA8DD873522F9A1DCED6A8196581FA0F6D02B490E1F788');
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
INSERT INTO "post" VALUES(456252754407424000,456252754092883968,456252754294210560,1,0,1,1,1,456252754092883968,0,0,'about #upgrades, @chat-assistant','[{"kind":"agent","id":"01a205e2-9b5a-7000-8003-19564379fa0d","text":"@chat-assistant"}]','#upgrades','[]',0,1,1,1795395066833743,NULL);
INSERT INTO "post" VALUES(456252754409521152,456252754092883968,456252754092883970,1,0,1,7,1,456252754092883968,456252754407424000,0,'a reply','[]','','[]',0,0,0,1795395066834948,NULL);
INSERT INTO "post" VALUES(456252754417909760,456252754092883968,456252754092883970,1,0,1,1,1,456252754092883968,0,0,'once','[]','','[]',0,0,0,1795395066838831,NULL);
CREATE TABLE post_tag (
	workspace INTEGER NOT NULL,
	tag TEXT NOT NULL,
	post INTEGER NOT NULL,
	PRIMARY KEY (workspace, tag, post)
)  STRICT, WITHOUT ROWID;
INSERT INTO "post_tag" VALUES(456252754092883968,'#upgrades',456252754407424000);
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
INSERT INTO "principal" VALUES(456252754092883969,456252754092883968,3,3,'system',NULL,NULL,'[]',NULL,1795395066709671);
INSERT INTO "principal" VALUES(456252754092883970,456252754092883968,1,4,'operator',NULL,NULL,'[]',NULL,1795395066709671);
INSERT INTO "principal" VALUES(456252754294210560,456252754092883968,1,2,'Ada',NULL,NULL,'[]',NULL,1795395066780969);
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
INSERT INTO "reaction" VALUES(456252754407424000,'👍',456252754092883970,1);
CREATE TABLE reaction_sum (
	post INTEGER NOT NULL,
	emoji TEXT NOT NULL,
	actors INTEGER NOT NULL,
	PRIMARY KEY (post, emoji)
)  STRICT, WITHOUT ROWID;
INSERT INTO "reaction_sum" VALUES(456252754407424000,'👍',1);
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
INSERT INTO "session" VALUES(456252754373902337,456252754092883968,456252754092883970,456252754155798528,'hello','chat',4,0,1795395066818729,1795395066827491,4);
CREATE TABLE token (
	id INTEGER NOT NULL PRIMARY KEY,
	principal INTEGER NOT NULL REFERENCES principal (id),
	hash BLOB NOT NULL,
	label TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER,
	revoked_at INTEGER
)  STRICT;
INSERT INTO "token" VALUES(456252754092883971,456252754092883970,X'E0EC67E42618051A984FF44DFB9B3455CAE93D794A11BB9C2D17BE4C3681166D','first operator token',1795395066709671,NULL,NULL);
INSERT INTO "token" VALUES(456252754321473536,456252754294210560,X'21BA05AD478730CDAF48063E16D92D3D5EF0264DCCE16EE93899A4B20F383696','laptop',1795395066793586,NULL,NULL);
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
INSERT INTO "trend" VALUES(456252754092883968,498720,'#upgrades',1);
INSERT INTO "trend" VALUES(456252754092883968,498720,'@chat-assistant',1);
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
INSERT INTO "turn" VALUES(456252754373902336,456252754373902337,456252754092883968,456252754155798528,'Chat Assistant',456252754092883970,3,'chat',4,'hello','Hello, and welcome to Guild. I should say at once that I am Guild''s builtin responder: a set of rules, not a language model.',1,0,0,X'0704080307020704030505020308080B0204030704020906',1795395066818729,1795395066821513,2,NULL,NULL,'builtin','builtin',0,38,1,0,0,1,26,0,'stop','["system_default"]','{"source":"api","resolution_context":{"resolution_path":["system_default"],"requested_agent":null},"governance_check":{"allowed":true,"requires_human_approval":false,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","agent_maturity":"intern","action_complexity":2,"required_maturity":"intern","confidence":0.6,"rule_id":"ok:chat:2","status_code":"ok","action":"chat"},"request_id":"b5429fe5cb48d5a74c4d063a03b6b29e"}');
INSERT INTO "turn" VALUES(456252754390712320,456252754373902337,456252754092883968,456252754155798528,'Chat Assistant',456252754092883970,3,'chat',4,'and on','Tell me more about that.',1,0,0,X'0503050605',1795395066826914,1795395066827491,1,NULL,NULL,'builtin','builtin',0,9,1,0,0,1,7,0,'stop','["session_agent"]','{"source":"api","resolution_context":{"resolution_path":["session_agent"],"requested_agent":null},"governance_check":{"allowed":true,"requires_human_approval":false,"proceed":true,"reason":"Agent \"Chat Assistant\" (intern) may do \"chat\", which needs intern or above.","agent_maturity":"intern","action_complexity":2,"required_maturity":"intern","confidence":0.61,"rule_id":"ok:chat:2","status_code":"ok","action":"chat"},"request_id":"0245dd194d74e951b8e037ec6c26e1e4"}');
CREATE TABLE workspace (
	id INTEGER NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	default_agent INTEGER,
	created_at INTEGER NOT NULL
)  STRICT;
INSERT INTO "workspace" VALUES(456252754092883968,'default',NULL,1795395066709671);
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
