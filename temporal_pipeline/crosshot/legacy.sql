-- The Crosshot database as the application makes it, before any temporal schema.
-- Used to create a database for a replay, for the demo and for tests; running it again changes nothing.

CREATE TABLE IF NOT EXISTS tasks (
    id uuid PRIMARY KEY,
    label varchar(64) NOT NULL,
    priority smallint NOT NULL DEFAULT 0,
    status varchar(16) NOT NULL DEFAULT 'pending',
    payload jsonb NOT NULL DEFAULT '{}',
    parent_job_id uuid,
    assigned_to varchar(64),
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz,
    retry_count smallint NOT NULL DEFAULT 0,
    max_retries smallint NOT NULL DEFAULT 3,
    error text,
    result jsonb
);
CREATE INDEX IF NOT EXISTS ix_tasks_status ON tasks (status);
CREATE INDEX IF NOT EXISTS ix_tasks_label_status ON tasks (label, status);
CREATE INDEX IF NOT EXISTS ix_tasks_parent_job_id ON tasks (parent_job_id);
CREATE INDEX IF NOT EXISTS ix_tasks_created_at ON tasks (created_at);

CREATE TABLE IF NOT EXISTS topics (
    id uuid PRIMARY KEY,
    type varchar(16) NOT NULL DEFAULT 'topic',
    name varchar(256) NOT NULL,
    icon varchar(8) NOT NULL DEFAULT '',
    description text,
    platforms text[] NOT NULL DEFAULT '{}',
    keywords text[] NOT NULL DEFAULT '{}',
    config jsonb NOT NULL DEFAULT '{}',
    status varchar(16) NOT NULL DEFAULT 'active',
    is_pinned boolean NOT NULL DEFAULT false,
    position integer NOT NULL DEFAULT 0,
    total_contents integer NOT NULL DEFAULT 0,
    last_crawl_at timestamptz,
    last_summary text,
    summary_data jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS users (
    id uuid PRIMARY KEY,
    name varchar(256) NOT NULL,
    platform varchar(16) NOT NULL,
    profile_url text NOT NULL,
    username varchar(64),
    config jsonb NOT NULL DEFAULT '{}',
    status varchar(16) NOT NULL DEFAULT 'active',
    is_pinned boolean NOT NULL DEFAULT false,
    position integer NOT NULL DEFAULT 0,
    total_contents integer NOT NULL DEFAULT 0,
    last_crawl_at timestamptz,
    last_summary text,
    summary_data jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS topic_users (
    topic_id uuid NOT NULL REFERENCES topics ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (topic_id, user_id)
);

CREATE TABLE IF NOT EXISTS contents (
    id uuid PRIMARY KEY,
    task_id uuid NOT NULL REFERENCES tasks,
    topic_id uuid REFERENCES topics ON DELETE SET NULL,
    user_id uuid REFERENCES users ON DELETE SET NULL,
    platform varchar(16) NOT NULL,
    platform_content_id varchar(128),
    source_url text NOT NULL,
    crawled_at timestamptz NOT NULL,
    author_uid varchar(64),
    author_username varchar(64),
    author_display_name varchar(128),
    text text,
    lang varchar(8),
    hashtags text[] NOT NULL DEFAULT '{}',
    media_downloaded boolean NOT NULL DEFAULT false,
    processing_status varchar(16),
    key_points jsonb,
    metrics jsonb NOT NULL DEFAULT '{}',
    data jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT uq_contents_platform_content UNIQUE (platform, platform_content_id)
);
CREATE INDEX IF NOT EXISTS ix_contents_platform ON contents (platform);
CREATE INDEX IF NOT EXISTS ix_contents_task_id ON contents (task_id);
CREATE INDEX IF NOT EXISTS ix_contents_topic_id ON contents (topic_id);
CREATE INDEX IF NOT EXISTS ix_contents_user_id ON contents (user_id);
CREATE INDEX IF NOT EXISTS ix_contents_crawled_at ON contents (crawled_at);
CREATE INDEX IF NOT EXISTS ix_contents_processing_status ON contents (processing_status);
CREATE INDEX IF NOT EXISTS ix_contents_author_username ON contents (author_username);
CREATE INDEX IF NOT EXISTS ix_contents_hashtags ON contents USING gin (hashtags);

CREATE TABLE IF NOT EXISTS content_media (
    id serial PRIMARY KEY,
    content_id uuid NOT NULL REFERENCES contents ON DELETE CASCADE,
    media_type varchar(16) NOT NULL,
    url text NOT NULL,
    local_path text,
    position smallint NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS ix_content_media_content_id ON content_media (content_id);

CREATE TABLE IF NOT EXISTS chat_messages (
    id serial PRIMARY KEY,
    entity_type varchar(16) NOT NULL,
    entity_id uuid NOT NULL,
    role varchar(16) NOT NULL,
    content text NOT NULL,
    is_archived boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS ix_chat_messages_entity ON chat_messages (entity_type, entity_id, created_at);

CREATE TABLE IF NOT EXISTS alerts (
    id uuid PRIMARY KEY,
    entity_type varchar(16) NOT NULL,
    entity_id uuid NOT NULL,
    level varchar(16) NOT NULL,
    message text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz
);

CREATE TABLE IF NOT EXISTS analysis_notes (
    id uuid PRIMARY KEY,
    entity_type varchar(16) NOT NULL,
    entity_id uuid NOT NULL,
    note text NOT NULL,
    category varchar(32) NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS metric_snapshots (
    id uuid PRIMARY KEY,
    entity_type varchar(16) NOT NULL,
    entity_id uuid NOT NULL,
    captured_at timestamptz NOT NULL,
    metrics jsonb NOT NULL DEFAULT '{}'
);
