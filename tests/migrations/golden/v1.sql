PRAGMA application_id = 1818325864;
BEGIN TRANSACTION;
CREATE TABLE effects (
	scope_id TEXT NOT NULL, 
	replay_key TEXT NOT NULL, 
	session_id TEXT, 
	status TEXT NOT NULL, 
	lease_owner_id TEXT, 
	lease_token TEXT, 
	lease_expires_at_ms INTEGER, 
	due_at_ms INTEGER, 
	created_at_ms INTEGER NOT NULL, 
	finished_at_ms INTEGER, 
	checksum INTEGER NOT NULL, 
	envelope_json TEXT NOT NULL, 
	outcome_json TEXT, 
	error_json TEXT, 
	CONSTRAINT pk_effects PRIMARY KEY (scope_id, replay_key), 
	CONSTRAINT ck_effects_status_known CHECK (status IN ('in_progress', 'completed', 'failed')), 
	CONSTRAINT ck_effects_lease_whole CHECK ((lease_token IS NULL) = (lease_owner_id IS NULL) AND (lease_token IS NULL) = (lease_expires_at_ms IS NULL)), 
	CONSTRAINT ck_effects_state_machine CHECK ((status <> 'in_progress' OR (outcome_json IS NULL AND error_json IS NULL AND finished_at_ms IS NULL)) AND (status = 'in_progress' OR (finished_at_ms IS NOT NULL AND lease_token IS NULL)) AND (status <> 'completed' OR (outcome_json IS NOT NULL AND error_json IS NULL)) AND (status <> 'failed' OR (error_json IS NOT NULL AND outcome_json IS NULL)))
)
 STRICT

;
INSERT INTO "effects" VALUES('["turn","golden","t1"]','step:ask','golden','completed',NULL,NULL,NULL,NULL,1700000000000,1700000000000,470222203,'{"command":{"input":null,"step_id":"ask"},"effect_id":"ask","invocation":null,"kind":"durable_step","replay_key":"step:ask"}','{"answer":42}',NULL);
CREATE TABLE process_events (
	process_id TEXT NOT NULL, 
	sequence INTEGER NOT NULL, 
	event_type TEXT NOT NULL, 
	replay_key TEXT, 
	occurred_at_ms INTEGER NOT NULL, 
	semantics_json TEXT, 
	checksum INTEGER NOT NULL, 
	payload_json TEXT NOT NULL, 
	CONSTRAINT pk_process_events PRIMARY KEY (process_id, sequence), 
	CONSTRAINT ck_process_events_sequence_positive CHECK (sequence > 0), 
	CONSTRAINT fk_process_events_process_id FOREIGN KEY(process_id) REFERENCES processes (process_id) ON DELETE CASCADE
)
 STRICT

;
CREATE TABLE process_handle_grants (
	session_id TEXT NOT NULL, 
	agent_frame_id TEXT NOT NULL, 
	process_id TEXT NOT NULL, 
	descriptor_json TEXT NOT NULL, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_process_handle_grants PRIMARY KEY (session_id, agent_frame_id, process_id), 
	CONSTRAINT fk_process_handle_grants_process_id FOREIGN KEY(process_id) REFERENCES processes (process_id) ON DELETE CASCADE
)
 STRICT

;
CREATE TABLE process_leases (
	process_id TEXT NOT NULL, 
	fencing_token INTEGER NOT NULL, 
	lease_token TEXT, 
	owner_json TEXT, 
	claimed_at_ms INTEGER, 
	expires_at_ms INTEGER, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_process_leases PRIMARY KEY (process_id), 
	CONSTRAINT ck_process_leases_fencing_token_positive CHECK (fencing_token > 0), 
	CONSTRAINT ck_process_leases_lease_whole CHECK ((lease_token IS NULL) = (owner_json IS NULL) AND (lease_token IS NULL) = (claimed_at_ms IS NULL) AND (lease_token IS NULL) = (expires_at_ms IS NULL)), 
	CONSTRAINT fk_process_leases_process_id FOREIGN KEY(process_id) REFERENCES processes (process_id) ON DELETE CASCADE
)
 STRICT

;
CREATE TABLE process_registrations (
	process_id TEXT NOT NULL, 
	registration_hash TEXT NOT NULL, 
	disposition TEXT NOT NULL, 
	identity_json TEXT NOT NULL, 
	provenance_json TEXT NOT NULL, 
	env_ref TEXT, 
	created_at_ms INTEGER NOT NULL, 
	event_types_json TEXT NOT NULL, 
	checksum INTEGER NOT NULL, 
	input_checksum INTEGER NOT NULL, 
	input_json TEXT NOT NULL, 
	CONSTRAINT pk_process_registrations PRIMARY KEY (process_id), 
	CONSTRAINT ck_process_registrations_disposition_known CHECK (disposition IN ('rerunnable', 'owner_bound', 'externally_owned')), 
	CONSTRAINT ck_process_registrations_counters CHECK (created_at_ms >= 0), 
	CONSTRAINT fk_process_registrations_process_id FOREIGN KEY(process_id) REFERENCES processes (process_id) ON DELETE CASCADE
)
 STRICT

;
INSERT INTO "process_registrations" VALUES('p1','604a3f964e8013ccdbd2e1ca9536ed31c8813ba2d8f2d5c8772a883a11f4ea0a','externally_owned','{"definition":null,"kind":"external","label":null}','{"caused_by":null,"originator":{"type":"host"}}',NULL,1700000000000,'[{"name":"process.cancel_requested","payload_schema":{},"semantics":{"terminal":null,"wake":null}},{"name":"process.waiting","payload_schema":{},"semantics":{"terminal":null,"wake":null}},{"name":"process.resumed","payload_schema":{},"semantics":{"terminal":null,"wake":null}},{"name":"process.completed","payload_schema":{},"semantics":{"terminal":{"await_output":{"pointer":"/await_output","type":"pointer"},"state":"completed"},"wake":null}},{"name":"process.failed","payload_schema":{},"semantics":{"terminal":{"await_output":{"pointer":"/await_output","type":"pointer"},"state":"failed"},"wake":null}},{"name":"process.cancelled","payload_schema":{},"semantics":{"terminal":{"await_output":{"pointer":"/await_output","type":"pointer"},"state":"cancelled"},"wake":null}},{"name":"process.abandoned","payload_schema":{},"semantics":{"terminal":{"await_output":{"pointer":"/await_output","type":"pointer"},"state":"abandoned"},"wake":null}}]',1421696336,222904323,'{"metadata":null,"type":"external"}');
CREATE TABLE process_wake_targets (
	process_id TEXT NOT NULL, 
	session_id TEXT NOT NULL, 
	agent_frame_id TEXT, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_process_wake_targets PRIMARY KEY (process_id), 
	CONSTRAINT fk_process_wake_targets_process_id FOREIGN KEY(process_id) REFERENCES processes (process_id) ON DELETE CASCADE
)
 STRICT

;
CREATE TABLE process_wakes (
	process_id TEXT NOT NULL, 
	sequence INTEGER NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	delivery_json TEXT, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_process_wakes PRIMARY KEY (process_id, sequence), 
	CONSTRAINT fk_process_wakes_process_id_sequence FOREIGN KEY(process_id, sequence) REFERENCES process_events (process_id, sequence) ON DELETE CASCADE
)
 STRICT

;
CREATE TABLE processes (
	process_id TEXT NOT NULL, 
	status TEXT NOT NULL, 
	activity TEXT NOT NULL, 
	definition_hash TEXT, 
	updated_at_ms INTEGER NOT NULL, 
	terminal_at_ms INTEGER, 
	last_sequence INTEGER NOT NULL, 
	facts_json TEXT NOT NULL, 
	await_output_json TEXT, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_processes PRIMARY KEY (process_id), 
	CONSTRAINT ck_processes_status_known CHECK (status IN ('running', 'completed', 'failed', 'cancelled', 'abandoned')), 
	CONSTRAINT ck_processes_activity_known CHECK (activity IN ('idle', 'waiting', 'ended')), 
	CONSTRAINT ck_processes_state_machine CHECK ((status = 'running') = (activity <> 'ended') AND (status = 'running') = (terminal_at_ms IS NULL) AND (status = 'running') = (await_output_json IS NULL)), 
	CONSTRAINT ck_processes_counters CHECK (updated_at_ms >= 0 AND last_sequence >= 0)
)
 STRICT

;
INSERT INTO "processes" VALUES('p1','running','idle',NULL,1700000000000,NULL,0,'{}',NULL,-1696461264002);
CREATE TABLE schema_versions (
	component TEXT NOT NULL, 
	version TEXT NOT NULL, 
	CONSTRAINT pk_schema_versions PRIMARY KEY (component)
)
 STRICT

;
INSERT INTO "schema_versions" VALUES('session','1');
INSERT INTO "schema_versions" VALUES('process','1');
INSERT INTO "schema_versions" VALUES('trigger','1');
INSERT INTO "schema_versions" VALUES('effect','1');
CREATE TABLE session_artifacts (
	session_id TEXT NOT NULL, 
	namespace TEXT NOT NULL, 
	artifact_ref TEXT NOT NULL, 
	blob_ref TEXT NOT NULL, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_session_artifacts PRIMARY KEY (session_id, namespace, artifact_ref), 
	CONSTRAINT ck_session_artifacts_namespace_known CHECK (namespace IN ('module', 'artifact', 'process_execution_env'))
)
 STRICT

;
INSERT INTO "session_artifacts" VALUES('golden','artifact','notes','98cf35f114c361c9a31d467306673483e2e2f9808730efab03021a12ac867b6b',3494915714);
CREATE TABLE session_attachments (
	session_id TEXT NOT NULL, 
	attachment_id TEXT NOT NULL, 
	canonical_uri TEXT NOT NULL, 
	intent_at_ms INTEGER NOT NULL, 
	committed_at_ms INTEGER, 
	is_orphaned INTEGER NOT NULL, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_session_attachments PRIMARY KEY (session_id, attachment_id), 
	CONSTRAINT ck_session_attachments_is_orphaned_flag CHECK (is_orphaned IN (0, 1)), 
	CONSTRAINT ck_session_attachments_orphan_uncommitted CHECK (is_orphaned = 0 OR committed_at_ms IS NULL)
)
 STRICT

;
CREATE TABLE session_blobs (
	session_id TEXT NOT NULL, 
	blob_ref TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	compression TEXT NOT NULL, 
	raw_bytes INTEGER NOT NULL, 
	base_ref TEXT, 
	chain_depth INTEGER NOT NULL, 
	content BLOB NOT NULL, 
	CONSTRAINT pk_session_blobs PRIMARY KEY (session_id, blob_ref), 
	CONSTRAINT ck_session_blobs_kind_known CHECK (kind IN ('generic_blob', 'checkpoint_manifest', 'tool_state', 'plugin_session_snapshot', 'execution_state_snapshot', 'module', 'process_execution_env')), 
	CONSTRAINT ck_session_blobs_compression_known CHECK (compression IN ('none', 'zstd')), 
	CONSTRAINT ck_session_blobs_counters CHECK (raw_bytes >= 0 AND chain_depth >= 0), 
	CONSTRAINT ck_session_blobs_chain_depth_of_base CHECK ((base_ref IS NULL) = (chain_depth = 0))
)
 STRICT

;
INSERT INTO "session_blobs" VALUES('golden','3f8ea2123ee365013742cd89901e56ad9b6e2bd4c8af570c68dea17b7d8ec6a8','execution_state_snapshot','zstd',12003,NULL,0,X'28B52FFD60E32D8D000048C52EE07374617465200100D72E7C3902');
INSERT INTO "session_blobs" VALUES('golden','b1d635d64c030b4afa3d2567848c2fed55de7f7854ce62a092b7c5be713a9a34','checkpoint_manifest','none',121,NULL,0,X'83B3657865637574696F6E5F73746174655F726566D94033663865613231323365653336353031333734326364383939303165353661643962366532626434633861663537306336386465613137623764386563366138AE736368656D615F76657273696F6E01AA7475726E5F737461746581A47374657001');
INSERT INTO "session_blobs" VALUES('golden','98cf35f114c361c9a31d467306673483e2e2f9808730efab03021a12ac867b6b','generic_blob','none',12,NULL,0,X'676F6C64656E206E6F746573');
CREATE TABLE session_checkpoint_blobs (
	session_id TEXT NOT NULL, 
	blob_ref TEXT NOT NULL, 
	last_revision INTEGER NOT NULL, 
	named_at_ms INTEGER NOT NULL, 
	CONSTRAINT pk_session_checkpoint_blobs PRIMARY KEY (session_id, blob_ref), 
	CONSTRAINT ck_session_checkpoint_blobs_counters CHECK (last_revision >= 0 AND named_at_ms >= 0)
)
 WITHOUT ROWID,
 STRICT

;
INSERT INTO "session_checkpoint_blobs" VALUES('golden','3f8ea2123ee365013742cd89901e56ad9b6e2bd4c8af570c68dea17b7d8ec6a8',1,1700000000000);
INSERT INTO "session_checkpoint_blobs" VALUES('golden','b1d635d64c030b4afa3d2567848c2fed55de7f7854ce62a092b7c5be713a9a34',1,1700000000000);
CREATE TABLE session_execution_leases (
	session_id TEXT NOT NULL, 
	fencing_token INTEGER NOT NULL, 
	lease_token TEXT, 
	owner_json TEXT, 
	claimed_at_ms INTEGER, 
	expires_at_ms INTEGER, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_session_execution_leases PRIMARY KEY (session_id), 
	CONSTRAINT ck_session_execution_leases_fencing_token_positive CHECK (fencing_token > 0), 
	CONSTRAINT ck_session_execution_leases_lease_whole CHECK ((lease_token IS NULL) = (owner_json IS NULL) AND (lease_token IS NULL) = (claimed_at_ms IS NULL) AND (lease_token IS NULL) = (expires_at_ms IS NULL))
)
 STRICT

;
INSERT INTO "session_execution_leases" VALUES('golden',1,'5dfb7459ac4831bde23eb01ae81ce56b','{"incarnation_id":"1","liveness":{"kind":"opaque"},"owner_id":"host"}',1700000000000,1700000001000,636898937);
CREATE TABLE session_heads (
	session_id TEXT NOT NULL, 
	schema_version INTEGER NOT NULL, 
	head_revision INTEGER NOT NULL, 
	config_json TEXT NOT NULL, 
	agent_frames_json TEXT NOT NULL, 
	current_agent_frame_id TEXT NOT NULL, 
	checkpoint_ref TEXT, 
	leaf_node_id TEXT, 
	graph_node_count INTEGER NOT NULL, 
	live_node_count INTEGER NOT NULL, 
	user_message_count INTEGER NOT NULL, 
	first_user_node_id TEXT, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_session_heads PRIMARY KEY (session_id), 
	CONSTRAINT ck_session_heads_revision_positive CHECK (head_revision > 0), 
	CONSTRAINT ck_session_heads_counters CHECK (graph_node_count >= 0 AND live_node_count >= 0 AND user_message_count >= 0)
)
 STRICT

;
INSERT INTO "session_heads" VALUES('golden',1,1,'{}','[]','','b1d635d64c030b4afa3d2567848c2fed55de7f7854ce62a092b7c5be713a9a34','n1',1,1,1,'n1',3005218951);
CREATE TABLE session_meta (
	session_id TEXT NOT NULL, 
	meta_json TEXT NOT NULL, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_session_meta PRIMARY KEY (session_id)
)
 STRICT

;
INSERT INTO "session_meta" VALUES('golden','{"created_at":"unix:1700000000","cwd":null,"model":"","relation":{"kind":"root"},"session_id":"golden","session_name":"Golden"}',4178371360);
CREATE TABLE session_nodes (
	session_id TEXT NOT NULL, 
	node_id TEXT NOT NULL, 
	seq INTEGER NOT NULL, 
	parent_node_id TEXT, 
	is_tombstoned INTEGER NOT NULL, 
	is_user_message INTEGER NOT NULL, 
	checksum INTEGER NOT NULL, 
	node_json TEXT NOT NULL, 
	CONSTRAINT pk_session_nodes PRIMARY KEY (session_id, node_id), 
	CONSTRAINT ck_session_nodes_is_tombstoned_flag CHECK (is_tombstoned IN (0, 1)), 
	CONSTRAINT ck_session_nodes_is_user_message_flag CHECK (is_user_message IN (0, 1))
)
 STRICT

;
INSERT INTO "session_nodes" VALUES('golden','n1',1,NULL,0,1,3058531421,'{"agent_frame_id":null,"caused_by":null,"kind":"message","node_id":"n1","parent_node_id":null,"payload":{"content":"Grüezi","role":"user"},"timestamp":""}');
CREATE TABLE session_queued_batches (
	session_id TEXT NOT NULL, 
	batch_id TEXT NOT NULL, 
	enqueue_seq INTEGER NOT NULL, 
	source_key TEXT, 
	work_class TEXT NOT NULL, 
	delivery_policy TEXT NOT NULL, 
	slot_policy TEXT NOT NULL, 
	merge_key_json TEXT NOT NULL, 
	available_at_ms INTEGER NOT NULL, 
	enqueued_at_ms INTEGER NOT NULL, 
	is_ready INTEGER NOT NULL, 
	claim_id TEXT, 
	claim_token TEXT, 
	claim_owner_json TEXT, 
	claim_host_id TEXT, 
	claim_fencing_token INTEGER NOT NULL, 
	claimed_at_ms INTEGER, 
	claim_expires_at_ms INTEGER, 
	checksum INTEGER NOT NULL, 
	payloads_json TEXT NOT NULL, 
	CONSTRAINT pk_session_queued_batches PRIMARY KEY (session_id, batch_id), 
	CONSTRAINT ck_session_queued_batches_claim_whole CHECK ((claim_id IS NULL) = (claim_token IS NULL) AND (claim_id IS NULL) = (claim_owner_json IS NULL) AND (claim_id IS NULL) = (claimed_at_ms IS NULL) AND (claim_id IS NULL) = (claim_expires_at_ms IS NULL) AND (claim_id IS NOT NULL OR claim_host_id IS NULL)), 
	CONSTRAINT ck_session_queued_batches_work_class_known CHECK (work_class IN ('session_command', 'turn_work')), 
	CONSTRAINT ck_session_queued_batches_delivery_policy_known CHECK (delivery_policy IN ('earliest_safe_boundary', 'after_current_turn_commit')), 
	CONSTRAINT ck_session_queued_batches_slot_policy_known CHECK (slot_policy IN ('join', 'exclusive')), 
	CONSTRAINT ck_session_queued_batches_counters CHECK (enqueue_seq >= 0 AND available_at_ms >= 0 AND claim_fencing_token >= 0), 
	CONSTRAINT ck_session_queued_batches_is_ready_flag CHECK (is_ready IN (0, 1))
)
 STRICT

;
INSERT INTO "session_queued_batches" VALUES('golden','qwb:4db83ba2a5fcf58d080bd9333bb772d8',1,NULL,'turn_work','earliest_safe_boundary','exclusive','{"kind":"never"}',0,1700000000000,1,NULL,NULL,NULL,NULL,0,NULL,NULL,957627192,'[{"body":{"do":"this"},"type":"turn_work"}]');
CREATE TABLE session_turn_commits (
	session_id TEXT NOT NULL, 
	turn_id TEXT NOT NULL, 
	turn_commit_hash TEXT NOT NULL, 
	result_json TEXT NOT NULL, 
	committed_at_ms INTEGER NOT NULL, 
	head_revision INTEGER NOT NULL, 
	first_node_seq INTEGER NOT NULL, 
	node_count INTEGER NOT NULL, 
	first_usage_seq INTEGER NOT NULL, 
	usage_count INTEGER NOT NULL, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_session_turn_commits PRIMARY KEY (session_id, turn_id), 
	CONSTRAINT ck_session_turn_commits_counters CHECK (first_node_seq >= 0 AND node_count >= 0 AND first_usage_seq >= 0 AND usage_count >= 0)
)
 STRICT

;
INSERT INTO "session_turn_commits" VALUES('golden','t1','2ea58e762a308feb3b05653dc6e728948cfd7994731a8110083a0339dbbd916a','{"checkpoint_ref":"b1d635d64c030b4afa3d2567848c2fed55de7f7854ce62a092b7c5be713a9a34","head_revision":1,"manifest":{"execution_state_ref":"3f8ea2123ee365013742cd89901e56ad9b6e2bd4c8af570c68dea17b7d8ec6a8","plugin_snapshot_ref":null,"plugin_snapshot_revision":null,"schema_version":1,"tool_state_ref":null,"turn_state":{"step":1}}}',1700000000000,1,1,1,1,1,3534397510);
CREATE TABLE session_turn_inputs (
	session_id TEXT NOT NULL, 
	input_id TEXT NOT NULL, 
	enqueue_seq INTEGER NOT NULL, 
	source_key TEXT, 
	submitted_ingress_json TEXT NOT NULL, 
	state TEXT NOT NULL, 
	is_open INTEGER NOT NULL, 
	turn_id TEXT, 
	min_boundary TEXT, 
	enqueued_at_ms INTEGER NOT NULL, 
	claim_id TEXT, 
	claim_token TEXT, 
	claim_owner_json TEXT, 
	claim_host_id TEXT, 
	claim_fencing_token INTEGER NOT NULL, 
	claimed_at_ms INTEGER, 
	claim_expires_at_ms INTEGER, 
	checksum INTEGER NOT NULL, 
	input_json TEXT NOT NULL, 
	CONSTRAINT pk_session_turn_inputs PRIMARY KEY (session_id, input_id), 
	CONSTRAINT ck_session_turn_inputs_claim_whole CHECK ((claim_id IS NULL) = (claim_token IS NULL) AND (claim_id IS NULL) = (claim_owner_json IS NULL) AND (claim_id IS NULL) = (claimed_at_ms IS NULL) AND (claim_id IS NULL) = (claim_expires_at_ms IS NULL) AND (claim_id IS NOT NULL OR claim_host_id IS NULL)), 
	CONSTRAINT ck_session_turn_inputs_state_known CHECK (state IN ('pending_active', 'deferred_next_turn', 'accepted', 'cancelled', 'completed')), 
	CONSTRAINT ck_session_turn_inputs_min_boundary_known CHECK (min_boundary IS NULL OR min_boundary IN ('after_work', 'before_completion')), 
	CONSTRAINT ck_session_turn_inputs_ingress_whole CHECK ((turn_id IS NULL) = (min_boundary IS NULL)), 
	CONSTRAINT ck_session_turn_inputs_state_machine CHECK ((state <> 'pending_active' OR (turn_id IS NOT NULL AND claim_id IS NULL)) AND (state <> 'accepted' OR (turn_id IS NOT NULL AND claim_id IS NOT NULL)) AND (state <> 'deferred_next_turn' OR turn_id IS NULL) AND (state NOT IN ('cancelled', 'completed') OR claim_id IS NULL)), 
	CONSTRAINT ck_session_turn_inputs_is_open_state CHECK ((is_open = 1) = (state NOT IN ('cancelled', 'completed'))), 
	CONSTRAINT ck_session_turn_inputs_is_open_flag CHECK (is_open IN (0, 1)), 
	CONSTRAINT ck_session_turn_inputs_counters CHECK (enqueue_seq >= 0 AND claim_fencing_token >= 0)
)
 STRICT

;
INSERT INTO "session_turn_inputs" VALUES('golden','ti:9a9f94bf17ff059bf55cfbed13eaedd8',2,NULL,'{"scope":"next_turn"}','deferred_next_turn',1,NULL,NULL,1700000000000,NULL,NULL,NULL,NULL,0,NULL,NULL,24304459825,'"and then?"');
CREATE TABLE session_usage (
	session_id TEXT NOT NULL, 
	seq INTEGER NOT NULL, 
	source TEXT NOT NULL, 
	model TEXT NOT NULL, 
	input_tokens INTEGER NOT NULL, 
	output_tokens INTEGER NOT NULL, 
	cache_read_input_tokens INTEGER NOT NULL, 
	cache_write_input_tokens INTEGER NOT NULL, 
	reasoning_output_tokens INTEGER NOT NULL, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_session_usage PRIMARY KEY (session_id, seq), 
	CONSTRAINT ck_session_usage_counters CHECK (input_tokens >= 0 AND output_tokens >= 0 AND cache_read_input_tokens >= 0 AND cache_write_input_tokens >= 0 AND reasoning_output_tokens >= 0)
)
 STRICT

;
INSERT INTO "session_usage" VALUES('golden',1,'turn','m',3,0,0,0,0,4034090880);
CREATE TABLE session_usage_totals (
	session_id TEXT NOT NULL, 
	source TEXT NOT NULL, 
	model TEXT NOT NULL, 
	seq INTEGER NOT NULL, 
	input_tokens INTEGER NOT NULL, 
	output_tokens INTEGER NOT NULL, 
	cache_read_input_tokens INTEGER NOT NULL, 
	cache_write_input_tokens INTEGER NOT NULL, 
	reasoning_output_tokens INTEGER NOT NULL, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_session_usage_totals PRIMARY KEY (session_id, source, model), 
	CONSTRAINT ck_session_usage_totals_counters CHECK (input_tokens >= 0 AND output_tokens >= 0 AND cache_read_input_tokens >= 0 AND cache_write_input_tokens >= 0 AND reasoning_output_tokens >= 0)
)
 STRICT

;
INSERT INTO "session_usage_totals" VALUES('golden','turn','m',1,3,0,0,0,0,2205729702);
CREATE TABLE sessions (
	session_id TEXT NOT NULL, 
	incarnation TEXT NOT NULL, 
	admission_seq INTEGER NOT NULL, 
	content_seal TEXT, 
	CONSTRAINT pk_sessions PRIMARY KEY (session_id), 
	CONSTRAINT ck_sessions_counters CHECK (admission_seq >= 0)
)
 STRICT

;
INSERT INTO "sessions" VALUES('golden','eea13a3e019447e651f03d6f6da0d7d1',2,NULL);
CREATE TABLE trigger_counters (
	name TEXT NOT NULL, 
	last_number INTEGER NOT NULL, 
	CONSTRAINT pk_trigger_counters PRIMARY KEY (name), 
	CONSTRAINT ck_trigger_counters_counters CHECK (last_number >= 0)
)
 STRICT

;
INSERT INTO "trigger_counters" VALUES('subscription',1);
CREATE TABLE trigger_deliveries (
	occurrence_id TEXT NOT NULL, 
	subscription_id TEXT NOT NULL, 
	seq INTEGER NOT NULL, 
	process_id TEXT NOT NULL, 
	payload_error TEXT, 
	reserved_at_ms INTEGER NOT NULL, 
	acknowledged_at_ms INTEGER, 
	start_error TEXT, 
	checksum INTEGER NOT NULL, 
	CONSTRAINT pk_trigger_deliveries PRIMARY KEY (occurrence_id, subscription_id), 
	CONSTRAINT fk_trigger_deliveries_occurrence_id FOREIGN KEY(occurrence_id) REFERENCES trigger_occurrences (occurrence_id) ON DELETE CASCADE, 
	CONSTRAINT fk_trigger_deliveries_subscription_id FOREIGN KEY(subscription_id) REFERENCES trigger_subscriptions (subscription_id) ON DELETE CASCADE, 
	CONSTRAINT ck_trigger_deliveries_acknowledgement_whole CHECK (acknowledged_at_ms IS NOT NULL OR start_error IS NULL), 
	CONSTRAINT ck_trigger_deliveries_counters CHECK (seq >= 0 AND reserved_at_ms >= 0)
)
 STRICT

;
CREATE TABLE trigger_occurrences (
	occurrence_id TEXT NOT NULL, 
	source_type TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	idempotency_key TEXT NOT NULL, 
	occurred_at_ms INTEGER NOT NULL, 
	checksum INTEGER NOT NULL, 
	payload_json TEXT NOT NULL, 
	source_json TEXT, 
	CONSTRAINT pk_trigger_occurrences PRIMARY KEY (occurrence_id), 
	CONSTRAINT ck_trigger_occurrences_counters CHECK (occurred_at_ms >= 0)
)
 STRICT

;
CREATE TABLE trigger_subscriptions (
	subscription_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	handle TEXT NOT NULL, 
	registrant_key TEXT NOT NULL, 
	registrant_session_id TEXT, 
	source_type TEXT NOT NULL, 
	source_key TEXT NOT NULL, 
	name TEXT, 
	client_key TEXT, 
	definition_hash TEXT, 
	wake_session_id TEXT, 
	wake_agent_frame_id TEXT, 
	is_enabled INTEGER NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	updated_at_ms INTEGER NOT NULL, 
	checksum INTEGER NOT NULL, 
	body_json TEXT NOT NULL, 
	CONSTRAINT pk_trigger_subscriptions PRIMARY KEY (subscription_id), 
	CONSTRAINT ck_trigger_subscriptions_is_enabled_flag CHECK (is_enabled IN (0, 1)), 
	CONSTRAINT ck_trigger_subscriptions_wake_target_whole CHECK (wake_session_id IS NOT NULL OR wake_agent_frame_id IS NULL), 
	CONSTRAINT ck_trigger_subscriptions_counters CHECK (number >= 0 AND created_at_ms >= 0 AND updated_at_ms >= 0)
)
 STRICT

;
INSERT INTO "trigger_subscriptions" VALUES('subscription:1',1,'trigger:1','host',NULL,'button','blue','when blue',NULL,NULL,NULL,NULL,1,1700000000000,1700000000000,2275970270,'{"env_ref":"env","event_types":[],"input_template":{},"payload_schema":{},"registrant":{"type":"host"},"source":{},"target":{"kind":"lua","payload":{},"type":"engine"},"target_identity":{"definition":null,"kind":"lua","label":"Go"},"target_label":null}');
CREATE INDEX ix_session_nodes_user_messages ON session_nodes (session_id, seq) WHERE is_user_message = 1 AND is_tombstoned = 0;
CREATE UNIQUE INDEX ix_session_nodes_seq ON session_nodes (session_id, seq);
CREATE INDEX ix_session_nodes_tombstoned ON session_nodes (session_id, node_id) WHERE is_tombstoned = 1;
CREATE INDEX ix_session_nodes_live_parents ON session_nodes (session_id, parent_node_id) WHERE is_tombstoned = 0;
CREATE INDEX ix_session_blobs_bases ON session_blobs (session_id, base_ref) WHERE base_ref IS NOT NULL;
CREATE INDEX ix_session_checkpoint_blobs_revision ON session_checkpoint_blobs (session_id, last_revision);
CREATE INDEX ix_session_artifacts_blob_ref ON session_artifacts (session_id, blob_ref);
CREATE INDEX ix_session_usage_totals_seq ON session_usage_totals (session_id, seq);
CREATE INDEX ix_session_turn_commits_revision ON session_turn_commits (session_id, head_revision) WHERE head_revision > 0;
CREATE INDEX ix_session_queued_batches_claim ON session_queued_batches (session_id, claim_id) WHERE claim_id IS NOT NULL;
CREATE UNIQUE INDEX ix_session_queued_batches_source_key ON session_queued_batches (session_id, source_key) WHERE source_key IS NOT NULL;
CREATE INDEX ix_session_queued_batches_ready ON session_queued_batches (session_id, is_ready, enqueue_seq, claim_expires_at_ms) WHERE is_ready = 1;
CREATE UNIQUE INDEX ix_session_queued_batches_queue ON session_queued_batches (session_id, enqueue_seq);
CREATE INDEX ix_session_queued_batches_waiting ON session_queued_batches (session_id, is_ready, available_at_ms) WHERE is_ready = 0;
CREATE UNIQUE INDEX ix_session_turn_inputs_source_key ON session_turn_inputs (session_id, source_key) WHERE source_key IS NOT NULL;
CREATE INDEX ix_session_turn_inputs_open ON session_turn_inputs (session_id, is_open, enqueue_seq, claim_expires_at_ms) WHERE is_open = 1;
CREATE INDEX ix_session_turn_inputs_claim ON session_turn_inputs (session_id, claim_id) WHERE claim_id IS NOT NULL;
CREATE INDEX ix_session_turn_inputs_terminal ON session_turn_inputs (session_id, is_open, input_id) WHERE is_open = 0;
CREATE INDEX ix_session_turn_inputs_turn ON session_turn_inputs (session_id, turn_id, enqueue_seq) WHERE state IN ('pending_active', 'accepted');
CREATE UNIQUE INDEX ix_session_turn_inputs_seq ON session_turn_inputs (session_id, enqueue_seq);
CREATE INDEX ix_session_turn_inputs_deferred ON session_turn_inputs (session_id, state, enqueue_seq, claim_expires_at_ms) WHERE state = 'deferred_next_turn';
CREATE INDEX ix_session_attachments_uncommitted ON session_attachments (session_id, intent_at_ms, attachment_id) WHERE committed_at_ms IS NULL;
CREATE INDEX ix_processes_definition_activity ON processes (definition_hash, activity, process_id) WHERE definition_hash IS NOT NULL;
CREATE INDEX ix_processes_status ON processes (status, process_id);
CREATE INDEX ix_processes_definition ON processes (definition_hash, process_id) WHERE definition_hash IS NOT NULL;
CREATE INDEX ix_processes_terminal ON processes (terminal_at_ms, process_id) WHERE terminal_at_ms IS NOT NULL;
CREATE INDEX ix_processes_activity ON processes (activity, process_id);
CREATE INDEX ix_processes_definition_status ON processes (definition_hash, status, process_id) WHERE definition_hash IS NOT NULL;
CREATE INDEX ix_process_wake_targets_session_id ON process_wake_targets (session_id, process_id);
CREATE UNIQUE INDEX ix_process_events_replay_key ON process_events (process_id, replay_key) WHERE replay_key IS NOT NULL;
CREATE INDEX ix_process_events_event_type ON process_events (process_id, event_type, sequence);
CREATE INDEX ix_process_handle_grants_process_id ON process_handle_grants (process_id, session_id, agent_frame_id);
CREATE INDEX ix_process_wakes_deliveries ON process_wakes (created_at_ms, process_id, sequence) WHERE delivery_json IS NOT NULL;
CREATE UNIQUE INDEX ix_trigger_subscriptions_order ON trigger_subscriptions (registrant_key, number);
CREATE INDEX ix_trigger_subscriptions_session ON trigger_subscriptions (registrant_session_id, registrant_key, number) WHERE registrant_session_id IS NOT NULL;
CREATE INDEX ix_trigger_subscriptions_name ON trigger_subscriptions (name) WHERE name IS NOT NULL;
CREATE INDEX ix_trigger_subscriptions_definition ON trigger_subscriptions (definition_hash) WHERE definition_hash IS NOT NULL;
CREATE UNIQUE INDEX ix_trigger_subscriptions_client_key ON trigger_subscriptions (registrant_key, client_key) WHERE client_key IS NOT NULL;
CREATE INDEX ix_trigger_subscriptions_wake ON trigger_subscriptions (wake_session_id) WHERE wake_session_id IS NOT NULL;
CREATE UNIQUE INDEX ix_trigger_subscriptions_handle ON trigger_subscriptions (handle);
CREATE INDEX ix_trigger_subscriptions_source_type ON trigger_subscriptions (source_type, registrant_key, number);
CREATE INDEX ix_trigger_subscriptions_source ON trigger_subscriptions (source_key, source_type, is_enabled, registrant_key, number);
CREATE INDEX ix_trigger_occurrences_occurred ON trigger_occurrences (occurred_at_ms);
CREATE INDEX ix_trigger_deliveries_pending_of ON trigger_deliveries (occurrence_id) WHERE acknowledged_at_ms IS NULL;
CREATE INDEX ix_trigger_deliveries_subscription ON trigger_deliveries (subscription_id);
CREATE INDEX ix_trigger_deliveries_pending ON trigger_deliveries (seq) WHERE acknowledged_at_ms IS NULL;
CREATE INDEX ix_effects_session_id ON effects (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX ix_effects_finished ON effects (finished_at_ms) WHERE finished_at_ms IS NOT NULL;
COMMIT;
