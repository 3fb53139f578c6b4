-- Apangea's master as its migrations left it in 2013. Half of the links have a foreign key, half have none; join tables
-- come with and without a primary key. No foreign key leads from a row that two schools may share to one school's row.

CREATE TYPE user_role AS ENUM ('teacher', 'administrator', 'district administrator', 'super user', 'legacy admin');

CREATE DOMAIN grade_level AS smallint CONSTRAINT grade_level_range CHECK (VALUE BETWEEN 0 AND 12);

CREATE TABLE schema_migrations (version varchar(255) NOT NULL);
CREATE UNIQUE INDEX unique_schema_migrations ON schema_migrations (version);

-- Stays live.

CREATE TABLE customers (
    id serial PRIMARY KEY,
    name varchar(255),
    renewing boolean DEFAULT true NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE customer_settings (
    id serial PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers,
    name varchar(255) NOT NULL,
    value text
);
CREATE INDEX index_customer_settings_on_customer_id ON customer_settings (customer_id);

CREATE TABLE districts (
    id serial PRIMARY KEY,
    customer_id integer REFERENCES customers,
    name varchar(255),
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX index_districts_on_customer_id ON districts (customer_id);

CREATE TABLE charities (id serial PRIMARY KEY, name varchar(255) NOT NULL);

CREATE TABLE contests (
    id serial PRIMARY KEY,
    name varchar(255) NOT NULL,
    starts_on date,
    ends_on date
);

CREATE TABLE contests_customers (
    contest_id integer NOT NULL REFERENCES contests,
    customer_id integer NOT NULL,
    PRIMARY KEY (contest_id, customer_id)
);
CREATE INDEX index_contests_customers_on_customer_id ON contests_customers (customer_id);

CREATE TABLE parents (
    id serial PRIMARY KEY,
    email varchar(255),
    name varchar(255),
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE tags (id serial PRIMARY KEY, name varchar(255) NOT NULL UNIQUE);

CREATE TABLE rollup_reports (id serial PRIMARY KEY, name varchar(255) NOT NULL);

-- A school and its staff.

CREATE TABLE users (
    id serial PRIMARY KEY,
    email varchar(255) UNIQUE,
    first_name varchar(255),
    last_name varchar(255),
    role user_role DEFAULT 'teacher' NOT NULL,
    authentication_token uuid,
    last_sign_in_at timestamptz,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE preferences (
    id bigserial PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users,
    name varchar(255) NOT NULL,
    value jsonb,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX index_preferences_on_user_id ON preferences (user_id);

CREATE TABLE user_opted_in_rollup_reports (
    id serial PRIMARY KEY,
    user_id integer,
    rollup_report_id integer,
    opted_in_on date
);
CREATE INDEX index_user_opted_in_rollup_reports_on_user_id ON user_opted_in_rollup_reports (user_id);

CREATE TABLE district_administrators (
    id serial PRIMARY KEY,
    district_id integer NOT NULL REFERENCES districts,
    user_id integer NOT NULL REFERENCES users
);
CREATE INDEX index_district_administrators_on_user_id ON district_administrators (user_id);

CREATE TABLE customer_administrators (
    id serial PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers,
    user_id integer NOT NULL
);
CREATE INDEX index_customer_administrators_on_user_id ON customer_administrators (user_id);

CREATE TABLE schools (
    id serial PRIMARY KEY,
    customer_id integer,
    district_id integer REFERENCES districts,
    name varchar(255),
    shard text NOT NULL,
    state char(2),
    active boolean DEFAULT true,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX index_schools_on_customer_id ON schools (customer_id);
CREATE INDEX index_schools_on_district_id ON schools (district_id);

CREATE TABLE school_administrations (
    id serial PRIMARY KEY,
    school_id integer NOT NULL REFERENCES schools,
    user_id integer NOT NULL,
    "primary" boolean,
    created_at timestamp NOT NULL
);
CREATE INDEX index_school_administrations_on_school_id ON school_administrations (school_id);
CREATE INDEX index_school_administrations_on_user_id ON school_administrations (user_id);

CREATE TABLE school_assignments (
    id serial PRIMARY KEY,
    school_id integer NOT NULL,
    user_id integer NOT NULL REFERENCES users,
    starts_at timestamptz,
    ends_at timestamptz
);
CREATE INDEX index_school_assignments_on_school_id ON school_assignments (school_id);
CREATE INDEX index_school_assignments_on_user_id ON school_assignments (user_id);

CREATE TABLE school_csv_imports (
    id serial PRIMARY KEY,
    school_id integer NOT NULL REFERENCES schools,
    filename varchar(255),
    report json,
    log text,
    rejected text[],
    created_at timestamp NOT NULL
);
CREATE INDEX index_school_csv_imports_on_school_id ON school_csv_imports (school_id);

-- No index on school_id: it was not missed while the table was small.
CREATE TABLE school_file_imports (
    id serial PRIMARY KEY,
    school_id integer NOT NULL,
    filename varchar(255),
    content bytea,
    created_at timestamp NOT NULL
);

CREATE TABLE taggings (
    id serial PRIMARY KEY,
    tag_id integer,
    taggable_type varchar(255),
    taggable_id integer,
    context varchar(128),
    created_at timestamp
);
CREATE INDEX index_taggings_on_taggable ON taggings (taggable_type, taggable_id);

-- Classrooms.

CREATE TABLE classrooms (
    id serial PRIMARY KEY,
    school_id integer NOT NULL REFERENCES schools,
    name varchar(255),
    notes text,
    periods text[],
    starts_on date,
    ends_on date,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX index_classrooms_on_school_id ON classrooms (school_id);

-- A foreign key without an index: deleting a classroom scans this table.
CREATE TABLE classroom_goals (
    id serial PRIMARY KEY,
    classroom_id integer NOT NULL REFERENCES classrooms,
    "order" integer,
    target numeric,
    weight double precision,
    note text,
    ends_at timestamp
);

CREATE TABLE classroom_teachings (
    classroom_id integer NOT NULL,
    user_id integer NOT NULL REFERENCES users,
    created_at timestamp NOT NULL,
    PRIMARY KEY (classroom_id, user_id)
);
CREATE INDEX index_classroom_teachings_on_user_id ON classroom_teachings (user_id);

-- Students.

CREATE TABLE students (
    id serial PRIMARY KEY,
    social_security_number varchar(255),
    first_name varchar(255),
    last_name varchar(255),
    full_name text GENERATED ALWAYS AS (coalesce(first_name, '') || ' ' || coalesce(last_name, '')) STORED,
    student_number varchar(255),
    grade grade_level,
    born_on date,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
-- A migration dropped a column here; its number in the table remains.
ALTER TABLE students DROP COLUMN social_security_number;

-- has_and_belongs_to_many: no primary key, and duplicate rows are possible.
CREATE TABLE classroom_students (
    classroom_id integer NOT NULL REFERENCES classrooms,
    student_id integer NOT NULL
);
CREATE INDEX index_classroom_students_on_classroom_id ON classroom_students (classroom_id);
CREATE INDEX index_classroom_students_on_student_id ON classroom_students (student_id);

CREATE TABLE parents_students (
    parent_id integer NOT NULL,
    student_id integer NOT NULL REFERENCES students
);
CREATE INDEX index_parents_students_on_student_id ON parents_students (student_id);

CREATE TABLE student_sessions (
    id bigserial PRIMARY KEY,
    student_id integer NOT NULL REFERENCES students,
    token uuid,
    started_at timestamptz,
    duration interval,
    lessons_seen integer[]
);
CREATE INDEX index_student_sessions_on_student_id ON student_sessions (student_id);

CREATE TABLE student_settings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    student_id integer NOT NULL,
    "readAloud" boolean,
    settings jsonb,
    updated_at timestamp NOT NULL
);
CREATE INDEX index_student_settings_on_student_id ON student_settings (student_id);

-- A donation belongs to a school, a class or a student (or two of these), or to a district or customer.
CREATE TABLE donations (
    id serial PRIMARY KEY,
    charity_id integer,
    customer_id integer,
    district_id integer,
    school_id integer,
    class_id integer,
    student_id integer,
    amount numeric(12, 2),
    exchange_rate numeric,
    note text,
    created_at timestamp NOT NULL
);
CREATE INDEX index_donations_on_school_id ON donations (school_id);
CREATE INDEX index_donations_on_class_id ON donations (class_id);
CREATE INDEX index_donations_on_student_id ON donations (student_id);

-- The feed refers to any row and is truncated once a year; it is in no school's archive.

CREATE TABLE feed_items (
    id bigserial PRIMARY KEY,
    classroom_id integer,
    actor_type varchar(255),
    actor_id integer,
    message text,
    created_at timestamp NOT NULL
);

CREATE TABLE feed_item_interactions (
    id bigserial PRIMARY KEY,
    feed_item_id bigint NOT NULL REFERENCES feed_items,
    user_id integer,
    kind varchar(255)
);
