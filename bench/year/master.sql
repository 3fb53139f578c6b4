-- Master's part of the year: schools, staff, classrooms, students, and what they share.
SET session_replication_role = replica; -- the rows fit by arithmetic; pg_restore proves it in every run

INSERT INTO customers SELECT n, 'Customer ' || n, true, pg_temp.moment(0), pg_temp.moment(0)
  FROM generate_series(1, 1 + :schools / 10) n;
INSERT INTO districts SELECT n, n, 'District ' || n, pg_temp.moment(0), pg_temp.moment(0)
  FROM generate_series(1, 1 + :schools / 10) n;
INSERT INTO charities SELECT n, 'Charity ' || n FROM generate_series(1, 3) n;
INSERT INTO tags SELECT n, 'tag ' || n FROM generate_series(1, 4) n;
INSERT INTO rollup_reports SELECT n, 'Report ' || n FROM generate_series(1, 3) n;

-- A school's staff are four consecutive users: a teacher with an assignment, one with classrooms only,
-- and an administrator after each. Of the excluded schools, each twentieth, every other one is on the same shard.
INSERT INTO schools
SELECT 4 * n + 1, 1 + n % 100 % (1 + :schools / 10), 1 + n % (1 + :schools / 10), 'School ' || n,
       'shard_' || 1 + (n + n / 20) % :shards, 'PA', n % 7 > 0,
       pg_temp.moment(0), pg_temp.moment(0.5)
  FROM generate_series(1, :schools) n;
INSERT INTO users
SELECT n, 'user' || n || '@example.org', 'Ada', pg_temp.words(n),
       (ARRAY['administrator', 'teacher'])[1 + n % 2]::user_role, md5(n::text)::uuid,
       pg_temp.moment(n % 97 / 97.0) AT TIME ZONE 'UTC', pg_temp.moment(0), pg_temp.moment(0.5)
  FROM generate_series(1, 4 * :schools::bigint) n;
INSERT INTO preferences
SELECT n, (n + 1) / 2, 'preference ' || n % 2, jsonb_build_object('locale', 'en', 'columns', pg_temp.words(n)),
       pg_temp.moment(0), pg_temp.moment(0.5)
  FROM generate_series(1, 8 * :schools::bigint) n;
INSERT INTO user_opted_in_rollup_reports
SELECT n, 2 * n, 1 + n % 3, date '2013-10-01' FROM generate_series(1, 2 * :schools) n;
INSERT INTO school_administrations
SELECT n, 4 * ((n + 1) / 2) + 1, 4 * ((n - 1) / 2) + 2 * (1 + (n - 1) % 2), n % 2 = 0, pg_temp.moment(0)
  FROM generate_series(1, 2 * :schools) n;
INSERT INTO school_assignments
SELECT n, 4 * n + 1, 4 * n - 3, pg_temp.moment(0), NULL FROM generate_series(1, :schools) n;
-- One teacher of twenty schools works in the next one, too: on the other shard.
INSERT INTO school_assignments
SELECT :schools + n, 4 * (20 * n - 5) + 1, 4 * (20 * n - 6) - 3, pg_temp.moment(0.3), NULL
  FROM generate_series(1, :schools / 20) n;
INSERT INTO school_csv_imports
SELECT n, 4 * n + 1, 'roster.csv', '{"rows": 25}', pg_temp.words(n), ARRAY[pg_temp.words(n)], pg_temp.moment(0)
  FROM generate_series(1, :schools::bigint) n;
INSERT INTO school_file_imports
SELECT n, 4 * n + 1, 'logo.png', decode(repeat(md5(n::text), 20), 'hex'), pg_temp.moment(0)
  FROM generate_series(1, :schools) n;
INSERT INTO taggings SELECT n, 1 + n % 4, 'School', 4 * n + 1, 'region', pg_temp.moment(0)
  FROM generate_series(1, :schools) n;

INSERT INTO classrooms
SELECT classroom_id, 4 * school + 1, 'Room ' || classroom_id, pg_temp.words(classroom_id), ARRAY['1st', '3rd'],
       date '2013-08-26', date '2014-06-13', pg_temp.moment(0), pg_temp.moment(0.5)
  FROM (SELECT classroom_id, min(school) AS school FROM seats GROUP BY classroom_id ORDER BY classroom_id) c;
INSERT INTO classroom_goals
SELECT row_number() OVER (), id, number, 10.5, 0.5, pg_temp.words(id), NULL
  FROM classrooms, generate_series(1, 2) number;
INSERT INTO classroom_teachings SELECT id, school_id - 2, pg_temp.moment(0) FROM classrooms;

INSERT INTO students (id, first_name, last_name, student_number, grade, born_on, created_at, updated_at)
SELECT n, 'Grace', pg_temp.words(n), 'S' || n, n % 13, date '2001-02-03' + (n % 900)::int, pg_temp.moment(0),
       pg_temp.moment(n % 300 / 300.0)
  FROM generate_series(1, :students::bigint) n;
INSERT INTO classroom_students SELECT classroom_id, student_id FROM seats ORDER BY student_id;
-- One student of a hundred also sits in another school's classroom, and one row of those stands twice.
INSERT INTO classroom_students SELECT 1 + n * 7919 % :classrooms, 100 * n FROM generate_series(1, :students / 100) n;
INSERT INTO classroom_students SELECT * FROM classroom_students WHERE student_id = 100;
INSERT INTO student_sessions
SELECT n, 1 + n * 1000003 % :students, md5(n::text)::uuid, pg_temp.moment(n / (18.0 * :students)) AT TIME ZONE 'UTC',
       n * 7919 % 3600 * interval '1 second', ARRAY[n % 400, n * 7919 % 400]::integer[]
  FROM generate_series(1, 18 * :students::bigint) n;
INSERT INTO student_settings (id, student_id, "readAloud", settings, updated_at) OVERRIDING SYSTEM VALUE
SELECT n, n, n % 3 = 0, jsonb_build_object('voice', n % 5), pg_temp.moment(0.5)
  FROM generate_series(1, :students::bigint) n;
INSERT INTO parents SELECT n, NULL, 'Parent ' || n, pg_temp.moment(0), pg_temp.moment(0)
  FROM generate_series(1, :students / 2) n;
INSERT INTO parents_students SELECT n, 2 * n - n / 7 % 2 FROM generate_series(1, :students / 2) n;
INSERT INTO donations (id, charity_id, student_id, amount, note, created_at)
SELECT n, 1 + n % 3, 5 * n, n % 100, pg_temp.words(n), pg_temp.moment(0.7) FROM generate_series(1, :students::bigint / 5) n;
INSERT INTO donations (id, charity_id, school_id, amount, created_at)
SELECT :students + n, 1 + n % 3, 4 * n + 1, 20, pg_temp.moment(0.7) FROM generate_series(1, :schools) n;

-- Orphan rows of deleted schools, which must stay.
INSERT INTO classroom_teachings SELECT :classrooms + n, 4 * n, pg_temp.moment(0) FROM generate_series(1, 5) n;
INSERT INTO taggings SELECT :schools + n, 1, 'School', 2, NULL, pg_temp.moment(0) FROM generate_series(1, 20) n;
INSERT INTO student_settings (id, student_id, updated_at) OVERRIDING SYSTEM VALUE
SELECT :students + n, :students + n, pg_temp.moment(0) FROM generate_series(1, 20) n;
