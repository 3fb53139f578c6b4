-- One shard of the year: 413 rows per student, the rows of all schools interleaved by time.
SET session_replication_role = replica; -- the rows fit by arithmetic; pg_restore proves it in every run

INSERT INTO enrollments
SELECT :base + row_number() OVER (ORDER BY student_id * 1000003 % :students), classroom_id, student_id,
       pg_temp.words(student_id), (ARRAY['completed', 'active', 'completed', 'withdrawn'])[1 + student_id % 4],
       CASE WHEN student_id % 2 = 0 THEN pg_temp.moment(0.9) END, NULL,
       pg_temp.moment(student_id / :students::float / 9), pg_temp.moment(0.9)
  FROM seats WHERE 1 + (school + school / 20) % :shards = :shard;
SELECT count(*) AS enrolled FROM enrollments \gset

-- 20 lessons per enrollment: every enrollment has its n-th lesson before any has its next.
INSERT INTO lesson_enrollments
SELECT :base + n, :base + 1 + n * 1000003 % :enrolled, n % 400, 'completed', n * 37 % 10001 / 100.0, n % 3 > 0,
       pg_temp.moment(n / :enrolled / 20.0), NULL, pg_temp.moment(n / :enrolled / 20.0), pg_temp.moment(0.95)
  FROM generate_series(1, 20 * :enrolled::bigint) n;

-- Rows below a lesson are interleaved with those of the thousand lessons (a prime: no pattern) taken in the same days.
CREATE FUNCTION pg_temp.lesson(n bigint, each int, lessons bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS
$$SELECT (n - 1) / (1009 * each) * 1009 + 1 + (n - 1) % least(1009, lessons - (n - 1) / (1009 * each) * 1009)$$;

INSERT INTO attempts
SELECT :base + n, :base + pg_temp.lesson(n, 8, 20 * :enrolled), n % 8, pg_temp.words(n), n * 37 % 1009 / 8.0,
       (ARRAY['right', 'wrong', 'skipped', 'gave up', NULL])[1 + n % 5]::attempt_outcome,
       pg_temp.moment(n / (160.0 * :enrolled)) AT TIME ZONE 'UTC', n * 7919 % 900 * interval '1 second',
       pg_temp.moment(n / (160.0 * :enrolled))
  FROM generate_series(1, 160 * :enrolled::bigint) n;

INSERT INTO hint_views
SELECT :base + n, :base + 2 * n, n * 7919 % 90, pg_temp.moment(n / (80.0 * :enrolled))
  FROM generate_series(1, 80 * :enrolled::bigint) n;

INSERT INTO placement_tests (id, enrollment_id, questions, correct, created_at)
SELECT :base + n, :base + 2 * n - n / 7 % 2, n % 8, n % 3, pg_temp.moment(0.01) FROM generate_series(1, :enrolled::bigint / 2) n;

INSERT INTO placement_attempts
SELECT :base + n, :base + 1 + n * 1000003 % (:enrolled / 2), ARRAY[n % 5, NULL, n % 3]::integer[],
       jsonb_build_object('choice', n % 5, 'why', pg_temp.words(n)), n % 101 / 7.0, pg_temp.moment(0.02)
  FROM generate_series(1, :enrolled::bigint) n;

INSERT INTO enrollment_activities (id, lesson_enrollment_id, kind, state, created_at) OVERRIDING SYSTEM VALUE
SELECT :base + n, :base + pg_temp.lesson(n, 4, 20 * :enrolled), (ARRAY['attempt', 'hint', 'video'])[1 + n % 3],
       CASE WHEN n % 4 > 0 THEN decode(md5(n::text), 'hex') END, pg_temp.moment(n / (80.0 * :enrolled))
  FROM generate_series(1, 80 * :enrolled::bigint) n WHERE n % 16 > 0;

INSERT INTO enrollment_activity_attemptables
SELECT :base + n, :base + n, 'Attempt', :base + 2 * n FROM generate_series(1, 80 * :enrolled::bigint) n WHERE n % 16 > 0;

-- Orphan rows of deleted schools, which must stay.
INSERT INTO enrollments (id, classroom_id, student_id, created_at, updated_at)
SELECT :base + :enrolled + n, :classrooms + n, n, pg_temp.moment(0), pg_temp.moment(0) FROM generate_series(1, 5) n;
INSERT INTO hint_views
SELECT :base + 80 * :enrolled + n, :base + 160 * :enrolled + n, NULL, pg_temp.moment(1) FROM generate_series(1, 50) n;
INSERT INTO placement_tests (id, enrollment_id, created_at)
SELECT :base + :enrolled + n, NULL, pg_temp.moment(1) FROM generate_series(1, 50) n;
