-- One of Apangea's shards as its migrations left it in 2013: the students' work. Enrollments refer to classrooms and
-- students in master, where no foreign key can reach.

CREATE TYPE attempt_outcome AS ENUM ('right', 'wrong', 'skipped', 'gave up');

CREATE DOMAIN percentage AS numeric(5, 2) CONSTRAINT percentage_range CHECK (VALUE BETWEEN 0 AND 100);

CREATE TABLE schema_migrations (
    version varchar(255) NOT NULL
);
CREATE UNIQUE INDEX unique_schema_migrations ON schema_migrations (version);

CREATE TABLE enrollments (
    id bigserial PRIMARY KEY,
    classroom_id integer,
    student_id integer,
    pathway varchar(255),
    status varchar(255) DEFAULT 'active' NOT NULL,
    completed_at timestamp,
    ended_at timestamp,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX index_enrollments_on_classroom_id ON enrollments (classroom_id);
CREATE INDEX index_enrollments_on_student_id ON enrollments (student_id);

CREATE TABLE lesson_enrollments (
    id bigserial PRIMARY KEY,
    enrollment_id bigint REFERENCES enrollments,
    lesson_id integer,
    status varchar(255) DEFAULT 'active' NOT NULL,
    score percentage,
    passed boolean,
    completed_at timestamp,
    ended_at timestamp,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX index_lesson_enrollments_on_enrollment_id ON lesson_enrollments (enrollment_id);

CREATE TABLE attempts (
    id bigserial PRIMARY KEY,
    lesson_enrollment_id bigint REFERENCES lesson_enrollments,
    "order" integer,
    answer text,
    score double precision,
    outcome attempt_outcome,
    attempted_at timestamptz,
    time_spent interval,
    created_at timestamp NOT NULL
);
CREATE INDEX index_attempts_on_lesson_enrollment_id ON attempts (lesson_enrollment_id);

CREATE TABLE hint_views (
    id bigserial PRIMARY KEY,
    attempt_id bigint,
    hint_id integer,
    created_at timestamp NOT NULL
);
CREATE INDEX index_hint_views_on_attempt_id ON hint_views (attempt_id);

CREATE TABLE placement_tests (
    id bigserial PRIMARY KEY,
    enrollment_id bigint,
    questions integer,
    correct integer,
    percent_correct numeric GENERATED ALWAYS AS (round(100.0 * correct / nullif(questions, 0), 2)) STORED,
    created_at timestamp NOT NULL
);
CREATE INDEX index_placement_tests_on_enrollment_id ON placement_tests (enrollment_id);

CREATE TABLE placement_attempts (
    id bigserial PRIMARY KEY,
    placement_test_id bigint NOT NULL REFERENCES placement_tests,
    choices integer[],
    response jsonb,
    weight numeric,
    created_at timestamp NOT NULL
);
CREATE INDEX index_placement_attempts_on_placement_test_id ON placement_attempts (placement_test_id);

CREATE TABLE enrollment_activities (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lesson_enrollment_id bigint,
    kind varchar(255),
    state bytea,
    created_at timestamp NOT NULL
);
CREATE INDEX index_enrollment_activities_on_lesson_enrollment_id ON enrollment_activities (lesson_enrollment_id);

CREATE TABLE enrollment_activity_attemptables (
    id bigserial PRIMARY KEY,
    enrollment_activity_id bigint NOT NULL REFERENCES enrollment_activities,
    attemptable_type varchar(255),
    attemptable_id bigint
);
CREATE INDEX index_activity_attemptables_on_activity_id ON enrollment_activity_attemptables (enrollment_activity_id);

-- Created here by accident; some have the names of tables in master.

CREATE TABLE rollup_reports (
    id serial PRIMARY KEY,
    name varchar(255)
);

CREATE TABLE emailed_rollup_reports (
    id serial PRIMARY KEY,
    user_id integer,
    sent_at timestamp
);

CREATE TABLE reports_in_emails (
    id serial PRIMARY KEY,
    emailed_rollup_report_id integer REFERENCES emailed_rollup_reports,
    rollup_report_id integer REFERENCES rollup_reports
);

CREATE TABLE user_opted_in_rollup_reports (
    id serial PRIMARY KEY,
    user_id integer,
    rollup_report_id integer REFERENCES rollup_reports
);

-- No column owns this sequence: dropping the table leaves it behind.
CREATE SEQUENCE activity_join_id_seq START WITH 1000;
CREATE TABLE activity_join (
    id bigint DEFAULT nextval('activity_join_id_seq') PRIMARY KEY,
    enrollment_activity_id bigint
);

CREATE TABLE images_tmp (
    name text,
    content bytea
);

CREATE TABLE lesson_enrollments_changed_passed (
    lesson_enrollment_id bigint,
    passed boolean
);

CREATE TABLE queue_classic_jobs (
    id serial PRIMARY KEY,
    q_name varchar(255),
    method varchar(255),
    args text,
    locked_at timestamp
);

CREATE TABLE queue_classic_jobs_2012 (
    id serial PRIMARY KEY,
    args text
);

CREATE TABLE tmp_activities_join (
    activity_id bigint,
    attempt_id bigint
);
