"""A year of migrations as the application ran them, and what a team writes so that archives from before come back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Drift:
    """One change of one table."""

    database: str
    table: str  # as it is called afterwards
    sql: str
    refusal: str = ""  # what a restore says while no migration speaks of it; empty: it is mapped by itself


# The first migration of the year, on master.
FIRST = {
    "a column of a chain, its first name": Drift(
        "master", "users", "ALTER TABLE users RENAME last_name TO family_name"
    ),
}
# The second, on both databases.
SECOND = {
    "a column added that may be NULL": Drift("master", "schools", "ALTER TABLE schools ADD motto text"),
    "a column added with a default": Drift(
        "master", "schools", "ALTER TABLE schools ADD timezone text DEFAULT 'UTC' NOT NULL"
    ),
    "a computed column added": Drift(
        "master", "students", "ALTER TABLE students ADD initial text GENERATED ALWAYS AS (left(first_name, 1)) STORED"
    ),
    "a column dropped": Drift("master", "student_sessions", "ALTER TABLE student_sessions DROP lessons_seen"),
    "a type widened": Drift("shard_3", "hint_views", "ALTER TABLE hint_views ALTER hint_id TYPE bigint"),
    "a key widened": Drift("master", "classrooms", "ALTER TABLE classrooms ALTER id TYPE bigint"),
    "a type changed by a cast": Drift(
        "master", "school_csv_imports", "ALTER TABLE school_csv_imports ALTER report TYPE jsonb USING report::jsonb"
    ),
    "a type narrowed": Drift(
        "shard_3",
        "enrollments",
        "ALTER TABLE enrollments ALTER status TYPE varchar(20)",
        "a value of type character varying(255) does not fit character varying(20) without a loss. "
        "Add to tables/enrollments: convert: {status: <SQL expression>}",
    ),
    "another type that takes all": Drift(
        "shard_3", "lesson_enrollments", "ALTER TABLE lesson_enrollments ALTER passed TYPE integer USING passed::int"
    ),
    "a type changed by an expression": Drift(
        "shard_3",
        "attempts",
        "ALTER TABLE attempts ALTER time_spent TYPE bigint USING extract(epoch FROM time_spent)::bigint",
        "a value of type interval does not fit bigint without a loss. Add to tables/attempts: convert: {time_spent: ",
    ),
    "NOT NULL added": Drift(
        "shard_3",
        "placement_tests",
        "UPDATE placement_tests SET correct = 0 WHERE correct IS NULL;"
        "ALTER TABLE placement_tests ALTER correct SET NOT NULL",
        "NULL does not fit NOT NULL. Add to tables/placement_tests: fill: {correct: <SQL expression>}",
    ),
    "a NOT NULL column added": Drift(
        "master",
        "classroom_teachings",
        "ALTER TABLE classroom_teachings ADD duty text NOT NULL DEFAULT 'lead';"
        "ALTER TABLE classroom_teachings ALTER duty DROP DEFAULT",
        "master.classroom_teachings.duty is NOT NULL today without a default, and the archive has no such column. "
        "Add to tables/classroom_teachings: fill: {duty: <SQL expression>}",
    ),
    "a column of a chain, its second name": Drift(
        "master",
        "users",
        "ALTER TABLE users RENAME family_name TO surname",
        "master.users.last_name no longer exists, and surname is new: was it renamed? "
        "Add to tables/users: rename: {last_name: surname}, or drop: {last_name: <why it may be lost>}",
    ),
    "a column renamed by which rows are found": Drift(
        "master",
        "donations",
        "ALTER TABLE donations RENAME class_id TO classroom_id",
        "master.donations.class_id no longer exists, and classroom_id is new: was it renamed?",
    ),
    "a table renamed": Drift(
        "master",
        "school_files",
        "ALTER TABLE school_file_imports RENAME TO school_files",
        "master.school_file_imports holds rows, and there is no such table today. "
        "Add rename_tables: {school_file_imports: <today's name>}, or drop_tables: {school_file_imports: <why",
    ),
    "a table dropped": Drift(
        "master",
        "user_opted_in_rollup_reports",
        "DROP TABLE user_opted_in_rollup_reports",
        "master.user_opted_in_rollup_reports holds rows, and there is no such table today.",
    ),
    "an enum's label renamed": Drift(
        "shard_3",
        "attempts",
        "ALTER TYPE attempt_outcome RENAME VALUE 'gave up' TO 'abandoned'",
        "shard.attempts.outcome: attempt_outcome has no label 'gave up' today. "
        "Add labels: {attempt_outcome: {gave up: <today's label>}}",
    ),
}
DRIFTS = FIRST | SECOND

# What the team writes; fingerprints are filled in.
MIGRATIONS = {
    "2014-01-names.yaml": """
database: master
before: {before}
after: {between}
tables:
  users: {{rename: {{last_name: family_name}}}}
""",
    "2014-06-master.yaml": """
database: master
before: {between}
rename_tables: {{school_file_imports: school_files}}
drop_tables: {{user_opted_in_rollup_reports: nobody reads them}}
tables:
  users: {{rename: {{family_name: surname}}}}
  donations: {{rename: {{class_id: classroom_id}}}}
  classroom_teachings: {{fill: {{duty: "'lead'"}}}}
""",
    "2014-06-shard.yaml": """
database: shard
before: {shard}
tables:
  attempts: {{convert: {{time_spent: "extract(epoch FROM time_spent::interval)::bigint"}}}}
  enrollments: {{convert: {{status: status}}}}
  placement_tests: {{fill: {{correct: "0"}}}}
labels: {{attempt_outcome: {{gave up: abandoned}}}}
""",
}
# The catalog of tables, in today's names.
RENAMED_IN_CATALOG = {
    "school_file_imports:": "school_files:",
    "class_id = classrooms.id": "classroom_id = classrooms.id",
    "    user_opted_in_rollup_reports: {group: school, found_by: [user_id = users.id]}\n": "",
}
